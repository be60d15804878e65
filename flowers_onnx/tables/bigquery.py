"""BigQuery: rows are appended to a table by load jobs, each row exactly once.

Rows are cut into parts, always in the same way. A part's job id is made from the table and the
part's content, or from a name that the caller gives it, and the service runs a job id once:
whatever was cut off, a part that is given again finds the job that loads it. A job loads all of
its part or nothing; where it failed, the next id in a fixed row of ids takes its place.

Rows that can't wait for a load are inserted at once, which may double them.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import BinaryIO

from flowers_onnx.errors import OutputError, UsageError
from flowers_onnx.extras import missing_extra
from flowers_onnx.record import to_json
from flowers_onnx.scratch import scratch_file
from flowers_onnx.storage.uris import table_of
from flowers_onnx.tables.schema import SAMPLE_ROWS, AnyRow, Schema

try:
    from google.api_core import exceptions
    from google.api_core.retry import Retry
    from google.auth.credentials import AnonymousCredentials
    from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError, TransportError
    from google.cloud import bigquery
    from google.cloud.bigquery.job import LoadJob
    from requests.exceptions import RequestException

    from flowers_onnx.tables.bigquery_columns import differences, extended, table_schema
except ImportError as error:
    raise missing_extra("bigquery", "bigquery://") from error

#: The client holds a part in memory while it sends it, and a table takes 1,500 jobs a day.
PART_BYTES = 64 << 20

#: Reasons of a failed job that may be gone the next time; a new table takes a while to appear.
_PASSING = {"backendError", "internalError", "rateLimitExceeded", "notFound", "tableUnavailable"}
_JOBS = 5


def _is_passing(error: BaseException) -> bool:
    return isinstance(
        error,
        exceptions.ServerError | exceptions.TooManyRequests | RequestException | TransportError,
    )


def _is_unseen(error: BaseException) -> bool:
    return isinstance(error, exceptions.NotFound) or _is_passing(error)


_AGAIN = Retry(predicate=_is_passing, initial=1, maximum=30, timeout=600)
#: For the answer to rows that are inserted.
_INSERT_SECONDS = 30
#: For what was made a moment ago.
_APPEAR = Retry(predicate=_is_unseen, initial=0.5, maximum=5, timeout=60)


class BigQueryTable:
    """A table, made with its schema when there is none.

    One that an earlier version has made gets its new columns when rows are written.
    """

    appends = True
    tells_names = False

    def __init__(self, uri: str, schema: Schema) -> None:
        self._uri, self._schema, self._columns = uri, schema, table_schema(schema)
        self._project, self._dataset, self._table = table_of(uri)
        self._client = _client(self._project, uri)
        self._insertable: bigquery.Table | None = None

    def existing(self) -> Iterator[AnyRow]:
        with self._plain_errors():
            table = self._find()
            if table is None:
                return
            fields = [field for field in table.schema if field.name in self._schema.keys]
            for row in self._client.list_rows(table, selected_fields=fields):
                yield dict(row.items())

    def sample(self) -> Iterator[AnyRow]:
        with self._plain_errors():
            if table := self._find():
                rows = self._client.list_rows(
                    table, selected_fields=table.schema, max_results=SAMPLE_ROWS
                )
                for row in rows:
                    yield self._schema.from_typed(dict(row.items()))

    def publish(self, rows: Iterable[AnyRow]) -> None:
        with self._plain_errors():
            table = self._ready()
            for part, digest in _parts(self._lines(rows), _identity(table)):
                self._load(part, digest, table)

    def close(self) -> None:
        pass

    def identity(self) -> str:
        """Which table this is: one that is made anew under the same name is another one.

        It is made if there is none.
        """
        with self._plain_errors():
            return _identity(self._ready())

    def publish_once(self, name: str, rows: Iterable[AnyRow], identity: str) -> bool:
        """Load ``rows`` by a single job, unless a load of this ``name`` has been done.

        Returns whether there was none. The name decides, not the rows, which should be few enough
        for a part. Raises ``OutputError`` if the table isn't that of ``identity`` any more.
        """
        digest = hashlib.sha256(f"{identity}\n{name}".encode()).hexdigest()
        with self._plain_errors():
            table = self._same(identity)
            if self._is_loaded(digest, table):
                return False
            with scratch_file() as part:
                part.writelines(self._lines(rows))
                self._load(part, digest, self._same(identity))
            return True

    def insert(self, rows: Mapping[str, AnyRow]) -> list[str]:
        """Add rows at once, each with an id by which the service knows most repeats, not all.

        Returns what is wrong with those that the table refuses; the others are in it.
        """
        known, self._insertable = self._insertable, None  # looked at again after an error
        with self._plain_errors():
            table = known or self._ready()
            try:
                refused = _APPEAR(self._client.insert_rows_json)(
                    table,
                    [self._schema.table_row(row) for row in rows.values()],
                    row_ids=list(rows),
                    skip_invalid_rows=True,
                    retry=None,
                    timeout=_INSERT_SECONDS,
                )
            except exceptions.BadRequest as error:  # as it will be next time
                return [_message(error)] * len(rows)
            problems = [str(each["errors"][0].get("message")) for each in refused]
            if any("no such field" in problem.lower() for problem in problems):
                # The columns are there, and the service sees new ones after minutes.
                raise OutputError(f"{self._uri}: {problems[0]}")
        self._insertable = table
        return problems

    def _lines(self, rows: Iterable[AnyRow]) -> Iterator[bytes]:
        return (to_json(self._schema.table_row(row)).encode() + b"\n" for row in rows)

    def _same(self, identity: str) -> bigquery.Table:
        table = self._find()
        if table is None or _identity(table) != identity:
            raise OutputError(f"{self._uri} was made anew during a load; load again")
        return self._extended(table)

    def _ready(self) -> bigquery.Table:
        return self._extended(self._find() or self._create())

    def _extended(self, table: bigquery.Table) -> bigquery.Table:
        try:
            return extended(self._client, table, self._schema)
        except exceptions.Forbidden as error:
            raise OutputError(
                f"{self._uri} was made by an earlier version, and its new columns can't be added: "
                f"{_message(error)}; give this account roles/bigquery.dataEditor on the dataset"
            ) from error

    def _find(self) -> bigquery.Table | None:
        name = f"{self._project}.{self._dataset}.{self._table}"
        try:
            table = self._client.get_table(name)
        except exceptions.NotFound:
            self._require_dataset()
            return None
        added = self._schema.added
        if problems := list(differences(self._columns, table.schema, added=added)):
            raise UsageError(f"{self._uri} is a table of another schema: {', '.join(problems)}")
        return table

    def _require_dataset(self) -> None:
        name = f"{self._project}.{self._dataset}"
        try:
            self._client.get_dataset(name)
        except exceptions.NotFound:
            raise UsageError(
                f"there is no dataset {name}; make it with: bq mk --dataset "
                f"{self._project}:{self._dataset}"
            ) from None

    def _create(self) -> bigquery.Table:
        table = bigquery.Table(f"{self._project}.{self._dataset}.{self._table}", self._columns)
        table.description = self._schema.title
        table.time_partitioning = bigquery.TimePartitioning(field=self._schema.time)
        table.clustering_fields = [self._schema.group]
        _APPEAR(self._client.create_table)(table, exists_ok=True)
        return self._client.get_table(table.reference, retry=_APPEAR)

    def _load(self, part: BinaryIO, digest: str, table: bigquery.Table) -> None:
        """Load a part, by whichever of its jobs does not fail."""
        failed = 0
        for number in itertools.count():
            job_id = f"flowers-{digest}-{number}"
            job = self._job(job_id, table)
            is_new = job is None
            if job is None:
                job = _AGAIN(self._submit)(part, job_id, table)
            failure = _outcome(job)
            if failure is None:
                return
            if is_new:  # a job that failed in an earlier run only tells that its id is used up
                failed += 1
                if failure.get("reason") not in _PASSING or failed == _JOBS:
                    raise OutputError(f"can't load into {self._uri}: {failure.get('message')}")
                time.sleep(2**failed / 2)

    def _is_loaded(self, digest: str, table: bigquery.Table) -> bool:
        """Whether one of a part's jobs, if need be when it is done, has loaded it."""
        for number in itertools.count():
            job = self._job(f"flowers-{digest}-{number}", table)
            if job is None or _outcome(job) is None:
                return job is not None
        raise AssertionError

    def _submit(self, part: BinaryIO, job_id: str, table: bigquery.Table) -> LoadJob:
        config = bigquery.LoadJobConfig(
            source_format=bigquery.SourceFormat.NEWLINE_DELIMITED_JSON,
            write_disposition=bigquery.WriteDisposition.WRITE_APPEND,
            create_disposition=bigquery.CreateDisposition.CREATE_NEVER,
        )
        try:
            return self._client.load_table_from_file(
                part,
                table.reference,
                rewind=True,
                job_id=job_id,
                location=table.location,
                job_config=config,
            )
        except exceptions.ClientError as error:
            # The job is there already, or the session in which it was sent is not any more:
            # accepted, and the answer was lost on its way.
            if error.code not in {404, 409, 410}:
                raise
            job = self._job(job_id, table, _APPEAR)
            if job is None:
                raise
            return job

    def _job(self, job_id: str, table: bigquery.Table, retry: Retry = _AGAIN) -> LoadJob | None:
        try:
            job = self._client.get_job(job_id, location=table.location, retry=retry)
        except exceptions.NotFound:
            return None
        except exceptions.RetryError as error:
            if isinstance(error.cause, exceptions.NotFound):
                return None
            raise
        return job if isinstance(job, LoadJob) else None

    @contextlib.contextmanager
    def _plain_errors(self) -> Iterator[None]:
        """One line for people in place of what the client and its transport raise."""
        try:
            yield
        except exceptions.GoogleAPIError as error:
            raise OutputError(f"{self._uri}: {_message(error)}") from error
        except (GoogleAuthError, OSError) as error:
            raise OutputError(f"{self._uri}: {error}") from error


def _client(project: str, uri: str) -> bigquery.Client:
    # The client itself looks at this variable too, but asks for credentials all the same.
    credentials = None
    if os.environ.get("BIGQUERY_EMULATOR_HOST"):
        credentials = AnonymousCredentials()
    try:
        return bigquery.Client(project, credentials)
    except DefaultCredentialsError:
        raise UsageError(
            f"{uri}: no Google credentials; run: gcloud auth application-default login"
        ) from None


def _identity(table: bigquery.Table) -> str:
    return f"{table.full_table_id} {table.created}"


def _message(error: BaseException) -> str:
    """The service's own words, without the request they answer."""
    if isinstance(error, exceptions.RetryError) and error.cause is not None:
        error = error.cause
    details = getattr(error, "errors", None)
    text = details[0].get("message") if details and isinstance(details[0], dict) else None
    return str(text or error)


def _outcome(job: LoadJob) -> dict[str, str] | None:
    """Wait for a job; what made it fail, or None."""
    pause = 0.5
    while not job.done(retry=_AGAIN):
        time.sleep(pause)
        pause = min(pause * 1.5, 10)
    failure: dict[str, str] | None = job.error_result
    return failure


def _parts(lines: Iterator[bytes], destination: str) -> Iterator[tuple[BinaryIO, str]]:
    """Lines, cut where a part is full, and a hash of the part and its destination."""
    line = next(lines, None)
    while line is not None:
        digest = hashlib.sha256(destination.encode() + b"\n")
        with scratch_file() as part:
            size = 0
            while line is not None and (not size or size + len(line) <= PART_BYTES):
                part.write(line)
                digest.update(line)
                size += len(line)
                line = next(lines, None)
            yield part, digest.hexdigest()
