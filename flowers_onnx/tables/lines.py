"""JSON Lines and CSV.

A copy that stopped half-way ends in a part of a row. It is dropped, and its image done again.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from flowers_onnx.console import say
from flowers_onnx.record import Field, to_json, to_text
from flowers_onnx.tables.schema import AnyRow, Cell, Schema
from flowers_onnx.text import open_utf8

#: Far more than a row has; keeps a file without line ends from being read as one line.
_MAX_LINE = 1 << 24


class JsonLines:
    """One row a line, as it is."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        # How each line begins, so that a torn one can be told from foreign text.
        self._beginning = f'{{"{schema.fields[0].name}": "'.encode()

    def read(self, path: str) -> Iterator[AnyRow]:
        with open_utf8(path) as file:
            for number, line in enumerate(_lines(file), 1):
                try:
                    row = json.loads(line)
                except ValueError:
                    if is_torn(file, line) and self._beginning.startswith(
                        line[: len(self._beginning)]
                    ):
                        tell_torn(path)
                        return
                    raise ValueError(f"line {number} is not JSON") from None
                yield row

    def write(self, rows: Iterable[AnyRow], path: str) -> None:
        with open(path, "w", encoding="utf-8", newline="\n") as file:
            file.writelines(to_json(row) + "\n" for row in rows)


class Csv:
    """One flat row a record. A null is an empty cell, an empty text a quoted one."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self._readable = {_header(each): each for each in schema.readable.values()}

    def read(self, path: str) -> Iterator[AnyRow]:
        with open_utf8(path) as file:
            header = next(_lines(file)).rstrip(b"\r\n").decode(errors="replace")
            if header not in self._readable:
                raise ValueError("its header is another")
            schema = self._readable[header]
            for number, record in enumerate(records(file), 1):
                try:
                    row = _row(record, schema)
                except ValueError:
                    row = None
                if is_torn(file, record) and self.schema.problem(row):
                    tell_torn(path)
                    return
                if row is None:
                    raise ValueError(f"row {number} can't be understood")
                yield row

    def write(self, rows: Iterable[AnyRow], path: str) -> None:
        with open(path, "w", encoding="utf-8", newline="\n") as file:
            file.write(_header(self.schema) + "\n")
            file.writelines(",".join(map(quoted, self.schema.flatten(row))) + "\n" for row in rows)


def _header(schema: Schema) -> str:
    return ",".join(field.name for field in schema.flat)


def _row(record: bytes, schema: Schema) -> AnyRow:
    text = record.decode().removesuffix("\n").removesuffix("\r")
    pairs = zip(cells(text), schema.flat, strict=True)
    return schema.unflatten(_typed(cell, field) for cell, field in pairs)


def _lines(file: BinaryIO) -> Iterator[bytes]:
    return iter(lambda: file.readline(_MAX_LINE), b"")


def records(file: BinaryIO) -> Iterator[bytes]:
    """Lines, joined where a line end is inside quotes."""
    lines = _lines(file)
    for line in lines:
        record = line
        while record.count(b'"') % 2 and len(record) < _MAX_LINE:
            following = next(lines, b"")
            if not following:
                break
            record += following
        yield record


def is_torn(file: BinaryIO, line: bytes) -> bool:
    """Whether a line that was read from ``file`` is its last one, and has no end."""
    return not line.endswith(b"\n") and not file.read(1)


@functools.cache  # a result is read more than once
def tell_torn(_path: str) -> None:
    """Say that what is torn is left out."""
    say("flowers: the earlier result ends in a part of a row; its image will be done again")


# The csv module can't tell an empty cell from a quoted empty text before Python 3.13.
_CELL = re.compile(r'(?:"([^"]*(?:""[^"]*)*)"|([^",]*))(,|\Z)')
_SPECIAL = re.compile(r'[",\r\n]|\A\Z')


def cells(record: str) -> Iterator[str | None]:
    """The texts of a record without its line end, None for nothing; raises ``ValueError``."""
    position, end = 0, ","
    while end:
        match = _CELL.match(record, position)
        if match is None:
            raise ValueError("no CSV")
        quoted, plain, end = match.groups()
        yield quoted.replace('""', '"') if quoted is not None else plain or None
        position = match.end()


def _typed(cell: str | None, field: Field) -> Cell:
    if cell is None:
        return None
    match field.type:
        case "integer":
            return int(cell)
        case "float":
            return float(cell)
    return cell


def quoted(cell: Cell) -> str:
    """A cell as it stands in a file."""
    if isinstance(cell, str):
        return '"' + cell.replace('"', '""') + '"' if _SPECIAL.search(cell) else cell
    return "" if cell is None else str(to_text(cell))
