"""SQLite: one table, flat, in which a list is JSON, beside whatever else is in the database."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sqlite3
from collections.abc import Iterable, Iterator
from urllib.parse import quote

from flowers_onnx.atomic import synced
from flowers_onnx.record import Field
from flowers_onnx.scratch import scratch_folder
from flowers_onnx.tables.schema import AnyRow, Schema

#: "flow": tells our databases from all others.
APPLICATION_ID = 0x666C6F77

_TYPES = {"integer": "INTEGER", "float": "REAL", "boolean": "INTEGER"}

#: Seconds that another program may take to write.
_PATIENCE = 30

# Codes of SQLite: who has the database, and what can't be had of the file system.
_BUSY, _LOCKED = 5, 6
_READONLY, _CANTOPEN = 8, 14
#: The file itself is none of ours: no database, a damaged one, other tables.
_FOREIGN = {1, 11, 26}


class Sqlite:
    """Rows in the order they came."""

    beside = ("-wal", "-journal")

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        name, about = schema.name, schema.keys[0]
        names = _names(schema)
        places = ", ".join("?" * len(schema.flat))
        columns = ", ".join(map(_column, schema.flat))
        self._create = f"CREATE TABLE {name} ({columns})"
        self._index = f"CREATE INDEX {name}_{about} ON {name} ({about})"
        self._insert = f"INSERT INTO {name} ({names}) VALUES ({places})"  # noqa: S608
        same = f"old.{about} = new.{about} AND " + " AND ".join(
            f'old."{field.name}" IS new."{field.name}"' for field in schema.flat
        )
        # What is to be there goes into a table of this connection's own; what isn't in it goes,
        # and what isn't there yet comes. All other rows, and who refers to them, see nothing.
        self._stage = f"CREATE TEMP TABLE given ({columns})"
        self._stage_row = f"INSERT INTO temp.given ({names}) VALUES ({places})"  # noqa: S608
        self._stage_index = f"CREATE INDEX temp.given_{about} ON given ({about})"
        self._remove = (
            f"DELETE FROM main.{name} AS old "  # noqa: S608
            f"WHERE NOT EXISTS (SELECT 1 FROM temp.given AS new WHERE {same})"
        )
        self._add = (
            f"INSERT INTO main.{name} ({names}) SELECT {names} FROM temp.given AS new "  # noqa: S608
            f"WHERE NOT EXISTS (SELECT 1 FROM main.{name} AS old WHERE {same}) ORDER BY new.rowid"
        )

    def read(self, path: str) -> Iterator[AnyRow]:
        with _reading(path) as connection:
            schema = self._schema_of(connection)
            select = f"SELECT {_names(schema)} FROM {schema.name} ORDER BY rowid"  # noqa: S608
            for cells in connection.execute(select):
                yield schema.unflatten(cells)

    def write(self, rows: Iterable[AnyRow], path: str) -> None:
        with _writing(path) as connection:
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

    def change(self, rows: Iterable[AnyRow], path: str) -> None:
        can_sync = _can_sync(path)
        with _writing(path) as connection:
            if not can_sync:
                connection.execute("PRAGMA synchronous = OFF")
            connection.execute("BEGIN IMMEDIATE")  # others may read until the end, not write
            connection.execute(self._stage)
            connection.executemany(self._stage_row, map(self.schema.flatten, rows))
            connection.execute(self._stage_index)
            self._extend(connection)
            connection.execute(self._remove)
            connection.execute(self._add)
            connection.execute("COMMIT")

    def copy(self, path: str, to: str) -> None:
        with _reading(path) as source, _writing(to) as target:
            source.backup(target)

    def _extend(self, connection: sqlite3.Connection) -> None:
        """Give the table the columns that came after the version it was made by."""
        there = _columns_of(connection, self.schema)
        for field in self.schema.flat:
            if field.name not in there:
                empty = " DEFAULT '[]'" if field.repeated else ""
                connection.execute(
                    f"ALTER TABLE {self.schema.name} ADD COLUMN {_column(field)}{empty}"
                )
        connection.execute(f"PRAGMA user_version = {_number(self.schema.version)}")

    def _schema_of(self, connection: sqlite3.Connection) -> Schema:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        if application != APPLICATION_ID:
            raise ValueError("it is a database of another program")
        (number,) = connection.execute("PRAGMA user_version").fetchone()
        schema = self.schema.of(f"{number // 1000}.{number % 1000}")
        # Where the table was extended, the new columns are the last ones.
        if sorted(_columns_of(connection, schema)) != sorted(field.name for field in schema.flat):
            raise ValueError("its columns are others")
        return schema


@contextlib.contextmanager
def _reading(path: str) -> Iterator[sqlite3.Connection]:
    """A connection to read by; what a killed program left undone is put right first.

    Opened for writing, where that is allowed: else SQLite couldn't do that, nor remove what it
    puts beside a database in WAL mode.
    """
    with contextlib.ExitStack() as closing, _plain_errors():
        try:
            connection = closing.enter_context(_connected(path, "rw"))
            connection.execute("PRAGMA query_only = ON")
            connection.execute("SELECT 1 FROM sqlite_master").fetchone()
        except sqlite3.OperationalError as error:
            if _code(error) not in {_READONLY, _CANTOPEN}:
                raise
            copy = os.path.join(closing.enter_context(scratch_folder()), "copy")
            for suffix in ("", *Sqlite.beside):
                if suffix == "" or os.path.exists(path + suffix):
                    shutil.copyfile(path + suffix, copy + suffix)
            connection = closing.enter_context(_connected(copy, "rw"))
        yield connection


@contextlib.contextmanager
def _writing(path: str) -> Iterator[sqlite3.Connection]:
    try:
        with _connected(path, "rwc") as connection:
            yield connection
    except sqlite3.Error as error:
        raise _system_error(error) from error


@contextlib.contextmanager
def _plain_errors() -> Iterator[None]:
    """``OSError`` for what keeps a file from being read, ``ValueError`` for what is in it."""
    try:
        yield
    except sqlite3.Error as error:
        if _code(error) in _FOREIGN:
            raise ValueError(str(error)) from error
        raise _system_error(error) from error


def _system_error(error: sqlite3.Error) -> OSError:
    if _code(error) in {_BUSY, _LOCKED}:
        return OSError(errno.EBUSY, "another program is writing to it")
    return OSError(errno.EIO, str(error))


def _code(error: sqlite3.Error) -> int:
    code: int = getattr(error, "sqlite_errorcode", 1)  # what Python itself finds wrong has none
    return code & 0xFF


@contextlib.contextmanager
def _connected(path: str, mode: str) -> Iterator[sqlite3.Connection]:
    uri = f"file:{quote(os.fsencode(os.path.abspath(path)))}?mode={mode}"
    # Rows may be taken by another thread than the one that asked for them.
    connection = sqlite3.connect(
        uri, uri=True, timeout=_PATIENCE, isolation_level=None, check_same_thread=False
    )
    with contextlib.closing(connection):
        yield connection


def _can_sync(path: str) -> bool:
    with open(path, "r+b") as file:
        return synced(file.fileno())


def _names(schema: Schema) -> str:
    return ", ".join(f'"{field.name}"' for field in schema.flat)


def _columns_of(connection: sqlite3.Connection, schema: Schema) -> list[str]:
    return [name for _, name, *_ in connection.execute(f"PRAGMA table_info({schema.name})")]


def _column(field: Field) -> str:
    null = "" if field.nullable else " NOT NULL"
    return f'"{field.name}" {_TYPES.get(field.type, "TEXT")}{null}'


def _number(version: str) -> int:
    major, minor = version.split(".")
    return int(major) * 1000 + int(minor)
