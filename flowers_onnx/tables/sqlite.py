"""SQLite: a table ``results``, flat but for ``top``, which is JSON."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterable, Iterator
from urllib.parse import quote

from flowers_onnx.results import RECORD_SCHEMA
from flowers_onnx.tables.results import Row
from flowers_onnx.tables.schema import FLAT, Field, flatten, unflatten

#: "flow": tells our databases from all others.
APPLICATION_ID = 0x666C6F77

_TYPES = {"integer": "INTEGER", "float": "REAL"}


def _column(field: Field) -> str:
    null = "" if field.nullable else " NOT NULL"
    return f'"{field.name}" {_TYPES.get(field.type, "TEXT")}{null}'


_NAMES = ", ".join(f'"{field.name}"' for field in FLAT)
_CREATE = f"CREATE TABLE results ({', '.join(map(_column, FLAT))})"
_INSERT = f"INSERT INTO results ({_NAMES}) VALUES ({', '.join('?' * len(FLAT))})"  # noqa: S608
_SELECT = f"SELECT {_NAMES} FROM results ORDER BY rowid"  # noqa: S608


class Sqlite:
    """Rows in the order they came."""

    def read(self, path: str) -> Iterator[Row]:
        for suffix in ("-wal", "-journal"):
            if os.path.exists(path + suffix):
                raise ValueError(f"another program has it open ({path}{suffix} exists)")
        try:
            with _connected(
                f"file:{quote(os.fsencode(os.path.abspath(path)))}?mode=ro"
            ) as connection:
                _check(connection)
                for cells in connection.execute(_SELECT):
                    yield unflatten(list(cells))
        except sqlite3.Error as error:
            raise ValueError(str(error)) from error

    def write(self, rows: Iterable[Row], path: str) -> None:
        try:
            with _connected(f"file:{quote(os.fsencode(os.path.abspath(path)))}") as connection:
                # The file is new, and nobody reads it before it is whole.
                connection.execute("PRAGMA journal_mode = OFF")
                connection.execute("PRAGMA synchronous = OFF")
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version = {_version()}")
                connection.execute("BEGIN")
                connection.execute(_CREATE)
                connection.executemany(_INSERT, map(flatten, rows))
                connection.execute("CREATE INDEX results_source_uri ON results (source_uri)")
                connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise OSError(str(error)) from error


@contextlib.contextmanager
def _connected(uri: str) -> Iterator[sqlite3.Connection]:
    # Rows may be taken by another thread than the one that asked for them.
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
    with contextlib.closing(connection):
        yield connection


def _version() -> int:
    major, minor = RECORD_SCHEMA.split(".")
    return int(major) * 1000 + int(minor)


def _check(connection: sqlite3.Connection) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if application != APPLICATION_ID:
        raise ValueError("it is a database of another program")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version != _version():
        schema = f"{version // 1000}.{version % 1000}"
        raise ValueError(f"its schema is {schema}, this program's {RECORD_SCHEMA}")
    columns = [name for _, name, *_ in connection.execute("PRAGMA table_info(results)")]
    if columns != [field.name for field in FLAT]:
        raise ValueError("its columns are others")
