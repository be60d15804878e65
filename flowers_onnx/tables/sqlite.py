"""SQLite: one table, flat, in which a list is JSON."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterable, Iterator
from urllib.parse import quote

from flowers_onnx.record import Field
from flowers_onnx.tables.schema import AnyRow, Schema

#: "flow": tells our databases from all others.
APPLICATION_ID = 0x666C6F77

_TYPES = {"integer": "INTEGER", "float": "REAL"}


class Sqlite:
    """Rows in the order they came."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        names = ", ".join(f'"{field.name}"' for field in schema.flat)
        places = ", ".join("?" * len(schema.flat))
        about = schema.keys[0]
        self._create = f"CREATE TABLE {schema.name} ({', '.join(map(_column, schema.flat))})"
        self._index = f"CREATE INDEX {schema.name}_{about} ON {schema.name} ({about})"
        self._insert = f"INSERT INTO {schema.name} ({names}) VALUES ({places})"  # noqa: S608
        self._select = f"SELECT {names} FROM {schema.name} ORDER BY rowid"  # noqa: S608

    def read(self, path: str) -> Iterator[AnyRow]:
        for suffix in ("-wal", "-journal"):
            if os.path.exists(path + suffix):
                raise ValueError(f"another program has it open ({path}{suffix} exists)")
        try:
            with _connected(path, "?mode=ro") as connection:
                self._check(connection)
                for cells in connection.execute(self._select):
                    yield self.schema.unflatten(cells)
        except sqlite3.Error as error:
            raise ValueError(str(error)) from error

    def write(self, rows: Iterable[AnyRow], path: str) -> None:
        try:
            with _connected(path) as connection:
                # The file is new, and nobody reads it before it is whole.
                connection.execute("PRAGMA journal_mode = OFF")
                connection.execute("PRAGMA synchronous = OFF")
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version = {_number(self.schema.version)}")
                connection.execute("BEGIN")
                connection.execute(self._create)
                connection.executemany(self._insert, map(self.schema.flatten, rows))
                connection.execute(self._index)
                connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise OSError(str(error)) from error

    def _check(self, connection: sqlite3.Connection) -> None:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        if application != APPLICATION_ID:
            raise ValueError("it is a database of another program")
        (number,) = connection.execute("PRAGMA user_version").fetchone()
        if number != _number(self.schema.version):
            found = f"{number // 1000}.{number % 1000}"
            raise ValueError(f"its schema is {found}, this program's {self.schema.version}")
        columns = connection.execute(f"PRAGMA table_info({self.schema.name})")
        if [name for _, name, *_ in columns] != [field.name for field in self.schema.flat]:
            raise ValueError("its columns are others")


@contextlib.contextmanager
def _connected(path: str, options: str = "") -> Iterator[sqlite3.Connection]:
    uri = f"file:{quote(os.fsencode(os.path.abspath(path)))}{options}"
    # Rows may be taken by another thread than the one that asked for them.
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
    with contextlib.closing(connection):
        yield connection


def _column(field: Field) -> str:
    null = "" if field.nullable else " NOT NULL"
    return f'"{field.name}" {_TYPES.get(field.type, "TEXT")}{null}'


def _number(version: str) -> int:
    major, minor = version.split(".")
    return int(major) * 1000 + int(minor)
