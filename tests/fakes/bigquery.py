"""The few REST calls of BigQuery that the program makes, as strict as the real service.

Datasets, tables, load jobs by resumable upload, ``tabledata.list``, two queries, and
``insertAll``, which never makes use of an insertId: the service promises no more. All state is in
memory.
What the program doesn't use is refused, so that a change of the program shows here.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import itertools
import json
import random
import re
import threading
import time
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Self

Json = dict[str, Any]

#: ``drop_before``: the connection ends and nothing was done; ``drop_after``: it was done all the
#: same; ``job_fails``: the job is accepted, then fails and loads nothing.
Kind = Literal["403", "503", "drop_before", "drop_after", "job_fails"]

_TYPES = {"STRING", "INTEGER", "FLOAT", "BOOLEAN", "TIMESTAMP", "RECORD"}
_LOAD_CONFIG = {
    "sourceFormat": "NEWLINE_DELIMITED_JSON",
    "writeDisposition": "WRITE_APPEND",
    "createDisposition": "CREATE_NEVER",
}
_QUERY = re.compile(r"(DELETE|SELECT COUNT\(\*\)) FROM `([\w.-]+)` WHERE (.+)")


class RefusedError(Exception):
    """An error response."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status, self.reason = status, reason


@dataclass
class Table:
    resource: Json
    rows: list[Json] = field(default_factory=list)
    created: float = field(default_factory=time.monotonic)
    #: Its columns before some were added.
    former: list[Json] | None = None


@dataclass
class Job:
    resource: Json
    table: str
    data: bytes
    polls: int
    fails: bool


@dataclass
class Upload:
    job: Json
    data: bytearray = field(default_factory=bytearray)
    answer: Json | None = None


@dataclass
class BigQueryFake:
    """A server on a free port; as a context manager it runs in a thread of this process.

    ``seconds_to_appear`` is how long a new table can't be seen, ``job_polls`` how often a job is
    asked for until it's done, ``rate`` the part of all requests that fail at random with 503 or
    a dropped connection.
    """

    datasets: tuple[str, ...] = ("project.dataset",)
    seconds_to_appear: float = 0
    job_polls: int = 0
    rate: float = 0
    seed: int = 1
    page_rows: int = 1000
    #: Whether the rows are still where ``insertAll`` puts them first: none can be deleted.
    streaming_buffer: bool = False
    #: How many times ``insertAll`` doesn't see columns that were added yet.
    stale_inserts: int = 0
    #: Called with ``METHOD path`` of a request before it is done, and after it, unanswered.
    before: Callable[[str], object] = lambda _request: None
    after: Callable[[str], object] = lambda _request: None

    def __post_init__(self) -> None:
        self.tables: dict[str, Table] = {}
        self.jobs: dict[str, Job] = {}
        #: ``METHOD path`` of each request, in order.
        self.requests: list[str] = []
        self._uploads: dict[str, Upload] = {}
        self._faults: list[tuple[Kind, re.Pattern[str]]] = []
        self._random = random.Random(self.seed)
        self._lock = threading.Lock()
        self._ids = itertools.count(1)

    def __enter__(self) -> Self:
        self._server = ThreadingHTTPServer(
            ("127.0.0.1", 0), type("Handler", (_Handler,), {"service": self})
        )
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def env(self) -> dict[str, str]:
        """What makes the official client use this server."""
        return {"BIGQUERY_EMULATOR_HOST": self.url}

    def fail(self, kind: Kind, request: str = "", times: int = 1) -> None:
        """Let the next ``times`` requests fail whose ``METHOD path`` contains ``request``."""
        self._faults += [(kind, re.compile(request))] * times

    def rows(self, table: str) -> list[Json]:
        """The rows of ``project.dataset.table``, as they were loaded."""
        with self._lock:
            self._settle()
            return list(self.tables[table].rows)

    def answer(self, method: str, path: str, headers: Any, body: bytes) -> _Answer:
        """Do what a request asks for; raises ``RefusedError``."""
        with self._lock:
            self.requests.append(f"{method} {path}")
            fault = self._fault(f"{method} {path}")
            if fault == "503":
                raise RefusedError(503, "backendError", "injected")
            if fault == "403":
                raise RefusedError(403, "accessDenied", "Access Denied: injected")
            if fault == "drop_before":
                raise ConnectionAbortedError
            self._settle()
            self.before(f"{method} {path}")
            answer = self._route(method, path, headers, body, fails=fault == "job_fails")
            self.after(f"{method} {path}")
            if fault == "drop_after":
                raise ConnectionAbortedError
            return answer

    def _fault(self, request: str) -> Kind | None:
        for index, (kind, pattern) in enumerate(self._faults):
            if pattern.search(request):
                del self._faults[index]
                return kind
        if self._random.random() < self.rate:
            kinds: tuple[Kind, ...] = ("503", "drop_before", "drop_after")
            return self._random.choice(kinds)
        return None

    def _route(
        self, method: str, target: str, headers: Any, body: bytes, *, fails: bool
    ) -> _Answer:
        path, _, text = target.partition("?")
        query = dict(urllib.parse.parse_qsl(text))
        query.pop("prettyPrint", None)
        dataset = r"/bigquery/v2/projects/([^/]+)/datasets/([^/]+)"
        routes: list[tuple[str, str, Callable[..., _Answer]]] = [
            ("GET", dataset, self._get_dataset),
            ("POST", dataset + r"/tables", self._insert_table),
            ("GET", dataset + r"/tables/([^/]+)", self._get_table),
            ("PATCH", dataset + r"/tables/([^/]+)", self._patch_table),
            ("GET", dataset + r"/tables/([^/]+)/data", self._list),
            ("POST", dataset + r"/tables/([^/]+)/insertAll", self._insert_all),
            ("POST", r"/bigquery/v2/projects/([^/]+)/queries", self._query),
            ("GET", r"/bigquery/v2/projects/([^/]+)/jobs/([^/]+)", self._get_job),
            ("POST", r"/upload/bigquery/v2/projects/([^/]+)/jobs", self._begin_upload),
            ("PUT", r"/upload/session/(\w+)", self._upload),
        ]  # fmt: skip
        for verb, pattern, handler in routes:
            if verb == method and (match := re.fullmatch(pattern, path)):
                names = [urllib.parse.unquote(each) for each in match.groups()]
                return handler(*names, query=query, headers=headers, body=body, fails=fails)
        raise RefusedError(404, "notFound", f"Not found: {method} {path}")

    def _get_dataset(self, project: str, dataset: str, **_: Any) -> _Answer:
        if f"{project}.{dataset}" not in self.datasets:
            raise RefusedError(404, "notFound", f"Not found: Dataset {project}:{dataset}")
        reference = {"projectId": project, "datasetId": dataset}
        return _Answer({"datasetReference": reference, "location": "US"})

    def _insert_table(self, project: str, dataset: str, *, body: bytes, **_: Any) -> _Answer:
        self._get_dataset(project, dataset)
        resource = json.loads(body)
        name = resource["tableReference"]["tableId"]
        if f"{project}.{dataset}.{name}" in self.tables:
            raise RefusedError(
                409, "duplicate", f"Already Exists: Table {project}:{dataset}.{name}"
            )
        fields = resource["schema"]["fields"]
        _check_schema(fields)
        _check_layout(resource, {each["name"]: each for each in fields})
        resource |= {
            "id": f"{project}:{dataset}.{name}",
            "creationTime": str(time.time_ns() // 1_000_000),
            "etag": str(next(self._ids)),
            "location": "US",
            "type": "TABLE",
        }
        self.tables[f"{project}.{dataset}.{name}"] = Table(resource)
        return _Answer(resource)

    def _visible(self, name: str) -> Table:
        table = self.tables.get(name)
        if table is None or time.monotonic() < table.created + self.seconds_to_appear:
            raise RefusedError(404, "notFound", f"Not found: Table {name}")
        return table

    def _get_table(self, project: str, dataset: str, name: str, **_: Any) -> _Answer:
        table = self._visible(f"{project}.{dataset}.{name}")
        return _Answer({**table.resource, "numRows": str(len(table.rows))})

    def _patch_table(
        self, project: str, dataset: str, name: str, *, headers: Any, body: bytes, **_: Any
    ) -> _Answer:
        """Columns may be added, and none be changed."""
        table, request = self._visible(f"{project}.{dataset}.{name}"), json.loads(body)
        if headers["If-Match"] != table.resource["etag"]:
            raise RefusedError(412, "conditionNotMet", "Precondition check failed.")
        fields, there = request["schema"]["fields"], table.resource["schema"]["fields"]
        _check_schema(fields)
        new = fields[len(there) :]
        if request.keys() != {"schema"} or fields[: len(there)] != there:
            raise RefusedError(400, "invalid", "Provided Schema does not match Table")
        if any(each["mode"] == "REQUIRED" for each in new):
            raise RefusedError(400, "invalid", "Cannot add required fields to an existing schema.")
        table.former = there
        table.resource |= {"schema": {"fields": fields}, "etag": f"{next(self._ids)}"}
        return self._get_table(project, dataset, name)

    def _list(
        self, project: str, dataset: str, name: str, *, query: dict[str, str], **_: Any
    ) -> _Answer:
        table = self._visible(f"{project}.{dataset}.{name}")
        if query.pop("formatOptions.useInt64Timestamp", None) != "True":
            raise RefusedError(400, "invalid", "the fake gives times as integers only")
        wanted = query.pop("selectedFields", "").split(",")
        start = int(query.pop("pageToken", 0))
        most = min(self.page_rows, int(query.pop("maxResults", self.page_rows)))
        if query:
            raise RefusedError(400, "invalid", f"unexpected parameters {sorted(query)}")
        fields = table.resource["schema"]["fields"]
        if unknown := set(wanted) - {each["name"] for each in fields}:
            raise RefusedError(400, "invalid", f"No such field: {sorted(unknown)}")
        # As in the real service, columns come in the table's order.
        chosen = [each for each in fields if each["name"] in wanted]
        page = table.rows[start : start + most]
        answer: Json = {
            "totalRows": str(len(table.rows)),
            "rows": [{"f": [{"v": _cell(row.get(f["name"]), f)} for f in chosen]} for row in page],
        }
        if start + len(page) < len(table.rows):
            answer["pageToken"] = str(start + len(page))
        return _Answer(answer)

    def _insert_all(
        self, project: str, dataset: str, name: str, *, body: bytes, **_: Any
    ) -> _Answer:
        table = self._visible(f"{project}.{dataset}.{name}")
        request = json.loads(body)
        rows = request.pop("rows")
        if request != {"skipInvalidRows": True}:
            raise RefusedError(400, "invalid", f"unexpected parameters {request}")
        if not rows or len(body) > 10_000_000:
            raise RefusedError(400, "invalid", "No rows present, or too many, in the request.")
        errors = []
        fields = table.resource["schema"]["fields"]
        if table.former and self.stale_inserts:
            self.stale_inserts -= 1
            fields = table.former
        for index, row in enumerate(rows):
            try:
                if row.keys() != {"insertId", "json"} or len(row["insertId"]) > 128:
                    raise RefusedError(400, "invalid", f"row {index}: no row")
                _check_row(row["json"], fields, f"row {index}")
                table.rows.append(row["json"])
            except RefusedError as error:
                reasons = [{"reason": error.reason, "message": str(error), "location": ""}]
                errors.append({"index": index, "errors": reasons})
        kind = {"kind": "bigquery#tableDataInsertAllResponse"}
        return _Answer({**kind, "insertErrors": errors} if errors else kind)

    def _query(self, project: str, *, body: bytes, **_: Any) -> _Answer:
        """``DELETE`` and ``SELECT COUNT(*)`` with a condition of ``IN UNNEST``s."""
        request = json.loads(body)
        match = _QUERY.fullmatch(request["query"])
        if match is None or request["useLegacySql"] or request["location"] != "US":
            raise RefusedError(400, "invalidQuery", f"Syntax error: {request['query']}")
        what, name, condition = match.groups()
        values = {}
        for each in request["queryParameters"]:
            if each["parameterType"] != {"type": "ARRAY", "arrayType": {"type": "STRING"}}:
                raise RefusedError(400, "invalidQuery", f"unexpected type of {each['name']}")
            values[each["name"]] = {one["value"] for one in each["parameterValue"]["arrayValues"]}
        columns = [
            re.fullmatch(r"(\w+) IN UNNEST\(@\1\)", each) for each in condition.split(" OR ")
        ]
        if {match and match[1] for match in columns} != values.keys():
            raise RefusedError(400, "invalidQuery", f"Query parameters for {condition}: {values}")
        table = self._visible(name)
        found = [row for row in table.rows if any(row.get(c) in v for c, v in values.items())]
        answer: Json = {
            "jobComplete": True,
            "jobReference": {"projectId": project, "jobId": str(next(self._ids)), "location": "US"},
            "totalRows": "0",
            "schema": {"fields": []},
        }
        if what == "DELETE":
            if self.streaming_buffer and found:
                message = f"DELETE statement over table {name} would affect rows in the streaming"
                raise RefusedError(400, "invalidQuery", f"{message} buffer, which is not supported")
            table.rows[:] = [row for row in table.rows if row not in found]
            return _Answer({**answer, "numDmlAffectedRows": str(len(found))})
        fields = [{"name": "f0_", "type": "INTEGER", "mode": "NULLABLE"}]
        rows = [{"f": [{"v": str(len(found))}]}]
        return _Answer({**answer, "totalRows": "1", "schema": {"fields": fields}, "rows": rows})

    def _begin_upload(
        self, project: str, *, query: dict[str, str], body: bytes, **_: Any
    ) -> _Answer:
        if query != {"uploadType": "resumable"}:
            raise RefusedError(400, "invalid", f"unexpected parameters {query}")
        session = str(next(self._ids))
        self._uploads[session] = Upload(json.loads(body))
        return _Answer({}, headers={"Location": f"{self.url}/upload/session/{session}"})

    def _upload(self, session: str, *, headers: Any, body: bytes, fails: bool, **_: Any) -> _Answer:
        upload = self._uploads.get(session)
        if upload is None:
            raise RefusedError(404, "notFound", f"Not found: upload session {session}")
        if upload.answer is not None:  # sent again: the answer didn't arrive
            return _Answer(upload.answer)
        content_range = headers["Content-Range"]
        match = re.fullmatch(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)", content_range)
        if match is None:
            raise RefusedError(400, "invalid", f"Content-Range {content_range}")
        first, last, total = match.groups()
        if first is not None:
            if int(first) != len(upload.data) or int(last) - int(first) + 1 != len(body):
                raise RefusedError(
                    400, "invalid", f"{content_range} after {len(upload.data)} bytes"
                )
            upload.data += body
        if total == "*":
            return _Answer({}, 308, {"Range": f"bytes=0-{len(upload.data) - 1}"})
        if int(total) != len(upload.data):
            raise RefusedError(400, "invalid", f"{content_range} with {len(upload.data)} bytes")
        upload.answer = self._insert_job(upload, fails=fails)
        return _Answer(upload.answer)

    def _insert_job(self, upload: Upload, *, fails: bool) -> Json:
        reference, configuration = upload.job["jobReference"], upload.job["configuration"]
        job_id = reference["jobId"]
        if not re.fullmatch(r"[\w-]{1,1024}", job_id, re.ASCII):
            raise RefusedError(400, "invalid", f"Invalid job ID {job_id}")
        if job_id in self.jobs:
            raise RefusedError(409, "duplicate", f"Already Exists: Job {job_id}")
        load = dict(configuration["load"])
        target = load.pop("destinationTable")
        if load != _LOAD_CONFIG:
            raise RefusedError(400, "invalid", f"unexpected configuration {load}")
        resource = {
            "id": f"{reference['projectId']}:US.{job_id}",
            "jobReference": {**reference, "location": "US"},
            "configuration": {**configuration, "jobType": "LOAD"},
            "status": {"state": "RUNNING"},
            "statistics": {},
        }
        name = f"{target['projectId']}.{target['datasetId']}.{target['tableId']}"
        self.jobs[job_id] = Job(resource, name, bytes(upload.data), self.job_polls, fails)
        self._settle()
        return resource

    def _get_job(self, project: str, job_id: str, *, query: dict[str, str], **_: Any) -> _Answer:
        job = self.jobs.get(job_id)
        if job is None or query.get("location") != "US":
            raise RefusedError(404, "notFound", f"Not found: Job {project}:{job_id}")
        job.polls -= 1
        self._settle()
        return _Answer(job.resource)

    def _settle(self) -> None:
        """Finish the jobs that were asked for often enough; each loads all its rows, or none."""
        for job in self.jobs.values():
            status = job.resource["status"]
            if status["state"] == "DONE" or job.polls > 0:
                continue
            status["state"] = "DONE"
            try:
                if job.fails:
                    raise RefusedError(503, "backendError", "injected")
                table = self._visible(job.table)
                rows = [json.loads(line) for line in job.data.splitlines()]
                for number, row in enumerate(rows, 1):
                    _check_row(row, table.resource["schema"]["fields"], f"row {number}")
                table.rows += rows
                job.resource["statistics"]["load"] = {"outputRows": str(len(rows))}
            except RefusedError as error:
                result = {"reason": error.reason, "message": str(error)}
                job.resource["status"] |= {"errorResult": result, "errors": [result]}


@dataclass
class _Answer:
    body: Json
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # header and body in one packet: no wait for an acknowledgement between them
    service: BigQueryFake

    def do_GET(self) -> None:
        self._handle()

    do_POST = do_PUT = do_PATCH = do_GET  # noqa: N815  the names that the base class asks for

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            answer = self.service.answer(self.command, self.path, self.headers, body)
        except ConnectionAbortedError:
            self.close_connection = True
            return
        except RefusedError as error:
            detail = {"reason": error.reason, "message": str(error), "domain": "global"}
            message = {"code": error.status, "message": str(error), "errors": [detail]}
            answer = _Answer({"error": message}, error.status)
        content = json.dumps(answer.body).encode()
        self.send_response(answer.status)
        for name, value in {**answer.headers, "Content-Type": "application/json"}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        pass


def _check_schema(fields: list[Json]) -> None:
    for each in fields:
        if not re.fullmatch(r"[A-Za-z_]\w{0,299}", each["name"], re.ASCII):
            raise RefusedError(400, "invalid", f"Invalid field name {each['name']}")
        if each["type"] not in _TYPES or each["mode"] not in {"REQUIRED", "NULLABLE", "REPEATED"}:
            raise RefusedError(400, "invalid", f"Invalid field {each}")
        if (each["type"] == "RECORD") != bool(each.get("fields")):
            raise RefusedError(
                400, "invalid", f"Field {each['name']} is type RECORD but has no schema"
            )
        _check_schema(each.get("fields", []))


def _check_layout(resource: Json, fields: dict[str, Json]) -> None:
    partition = resource["timePartitioning"]
    if fields[partition["field"]]["type"] != "TIMESTAMP" or partition["type"] != "DAY":
        raise RefusedError(400, "invalid", f"can't partition by {partition}")
    for name in resource["clustering"]["fields"]:
        if fields[name]["type"] == "RECORD" or fields[name]["mode"] == "REPEATED":
            raise RefusedError(400, "invalid", f"can't cluster by {name}")


def _check_row(row: Any, fields: list[Json], name: str) -> None:
    if not isinstance(row, dict):
        raise RefusedError(400, "invalid", f"{name}: not an object")
    if unknown := row.keys() - {each["name"] for each in fields}:
        raise RefusedError(400, "invalid", f"{name}: No such field: {min(unknown)}.")
    for each in fields:
        value, inner = row.get(each["name"]), f"{name}: {each['name']}"
        if each["mode"] == "REPEATED":
            if each["name"] in row and not isinstance(value, list):
                raise RefusedError(400, "invalid", f"{inner}: Only an array can be repeated.")
            for element in value or []:
                _check_value(element, each, inner)
        elif value is None:
            if each["mode"] == "REQUIRED":
                raise RefusedError(
                    400, "invalid", f"{name}: Missing required field: {each['name']}."
                )
        else:
            _check_value(value, each, inner)


def _check_value(value: Any, field: Json, name: str) -> None:
    match field["type"], value:
        case "RECORD", dict():
            _check_row(value, field["fields"], name)
        case (("INTEGER" | "FLOAT" | "STRING"), bool()):
            raise RefusedError(400, "invalid", f"{name}: Could not convert {value!r}")
        case (
            ("STRING", str())
            | ("BOOLEAN", bool())
            | ("INTEGER", int())
            | ("FLOAT", int() | float())
        ):
            return
        case "TIMESTAMP", str() if re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", value):
            dt.datetime.fromisoformat(value)
        case _:
            raise RefusedError(400, "invalid", f"{name}: Could not convert {value!r}")


def _cell(value: Any, field: Json) -> Any:
    """A value as ``tabledata.list`` gives it: text, whatever its type."""
    if field["mode"] == "REPEATED":
        return [{"v": _cell(each, {**field, "mode": "NULLABLE"})} for each in value or []]
    if value is None:
        return None
    match field["type"]:
        case "RECORD":
            return {"f": [{"v": _cell(value.get(f["name"]), f)} for f in field["fields"]]}
        case "BOOLEAN":
            return "true" if value else "false"
        case "TIMESTAMP":
            return str(round(dt.datetime.fromisoformat(value).timestamp() * 1e6))
    return str(value)
