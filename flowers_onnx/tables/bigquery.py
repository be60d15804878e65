"""BigQuery: rows are appended to a table by load jobs, each row exactly once.

Rows are cut into parts, always in the same way. A part's job id is made from the table and the
part's content, and the service runs a job id once: whatever was cut off, a part that is given
again finds the job that loads it. A job loads all of its part or nothing; where it failed, the
next id in a fixed row of ids takes its place.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from flowers_onnx.errors import OutputError, UsageError, missing_extra
from flowers_onnx.record import Field, to_json
from flowers_onnx.storage.uris import table_of
from flowers_onnx.tables.schema import AnyRow, Schema

try:
    from google.api_core import exceptions
    from google.api_core.retry import Retry
    from google.auth.credentials import AnonymousCredentials
    from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError, TransportError
    from google.cloud import bigquery
    from google.cloud.bigquery.job import LoadJob
    from requests.exceptions import RequestException
except ImportError as error:
    raise missing_extra("bigquery", "bigquery://") from error

#: The client holds a part in memory while it sends it, and a table takes 1,500 jobs a day.
PART_BYTES = 64 << 20

_TYPES = {
    "string": "STRING",
    "integer": "INTEGER",
    "float": "FLOAT",
    "timestamp": "TIMESTAMP",
    "class_id": "STRING",
    "record": "RECORD",
}
#: The names that SQL gives to types; the API uses the older ones.
_SYNONYMS = {"INT64": "INTEGER", "FLOAT64": "FLOAT", "STRUCT": "RECORD"}

#: Reasons of a failed job that may be gone the next time; a new table takes a while to appear.
_PASSING = {"backendError", "internalError", "rateLimitExceeded", "notFound", "tableUnavailable"}
_JOBS = 5


def _schema_field(field: Field) -> bigquery.SchemaField:
    mode = "REPEATED" if field.repeated else "NULLABLE" if field.nullable else "REQUIRED"
    return bigquery.SchemaField(
        field.name,
        _TYPES[field.type],
        mode=mode,
        description=field.description,
        fields=tuple(map(_schema_field, field.fields)),
    )


def table_schema(schema: Schema) -> tuple[bigquery.SchemaField, ...]:
    """The columns of the table."""
    return tuple(map(_schema_field, schema.fields))


def _is_passing(error: BaseException) -> bool:
    return isinstance(
        error,
        exceptions.ServerError | exceptions.TooManyRequests | RequestException | TransportError,
    )


def _is_unseen(error: BaseException) -> bool:
    return isinstance(error, exceptions.NotFound) or _is_passing(error)


_AGAIN = Retry(predicate=_is_passing, initial=1, maximum=30, timeout=600)
#: For what was made a moment ago.
_APPEAR = Retry(predicate=_is_unseen, initial=0.5, maximum=5, timeout=60)


class BigQueryTable:
    """A table, made with its schema when there is none."""

    appends = True

    def __init__(self, uri: str, schema: Schema) -> None:
        self._uri, self._schema, self._columns = uri, schema, table_schema(schema)
        self._project, self._dataset, self._table = table_of(uri)
        self._client = _client(self._project, uri)

    def existing(self) -> Iterator[AnyRow]:
        with self._plain_errors():
            table = self._find()
            if table is None:
                return
            fields = [field for field in table.schema if field.name in self._schema.keys]
            for row in self._client.list_rows(table, selected_fields=fields):
                yield dict(row.items())

    def publish(self, rows: Iterable[AnyRow]) -> None:
        with self._plain_errors():
            table = self._find() or self._create()
            lines = (to_json(self._schema.table_row(row)) for row in rows)
            for part, digest in _parts(lines, f"{table.full_table_id} {table.created}"):
                self._load(part, digest, table)

    def close(self) -> None:
        pass

    def _find(self) -> bigquery.Table | None:
        name = f"{self._project}.{self._dataset}.{self._table}"
        try:
            table = self._client.get_table(name)
        except exceptions.NotFound:
            self._require_dataset()
            return None
        if problems := list(_differences(self._columns, table.schema)):
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


def _parts(texts: Iterable[str], destination: str) -> Iterator[tuple[BinaryIO, str]]:
    """Newline-delimited JSON, cut where a part is full, and a hash of it and its destination."""
    lines = (text.encode() + b"\n" for text in texts)
    line = next(lines, None)
    while line is not None:
        digest = hashlib.sha256(destination.encode() + b"\n")
        with tempfile.TemporaryFile(prefix="flowers-") as part:
            size = 0
            while line is not None and (not size or size + len(line) <= PART_BYTES):
                part.write(line)
                digest.update(line)
                size += len(line)
                line = next(lines, None)
            yield part, digest.hexdigest()


def _differences(
    wanted: Iterable[bigquery.SchemaField], found: Iterable[bigquery.SchemaField], prefix: str = ""
) -> Iterator[str]:
    by_name = {field.name.lower(): field for field in found}
    for field in wanted:
        name = prefix + field.name
        other = by_name.pop(field.name, None)
        if other is None:
            yield f"no column {name}"
        elif (kind := _kind(other)) != _kind(field):
            yield f"{name} is {kind}, not {_kind(field)}"
        elif other.mode == "REQUIRED" and field.mode != "REQUIRED":
            yield f"{name} must allow NULL"
        else:
            yield from _differences(field.fields, other.fields, f"{name}.")
    for other in by_name.values():
        if other.mode == "REQUIRED":
            yield f"{prefix}{other.name} is required, and is none of the result's"


def _kind(field: bigquery.SchemaField) -> str:
    kind = _SYNONYMS.get(field.field_type, field.field_type)
    return f"{kind} REPEATED" if field.mode == "REPEATED" else kind
