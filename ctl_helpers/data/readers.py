"""Files of text data sets: lines, JSON and tables, each whole and as expected, or an error."""

from __future__ import annotations

import csv
import gzip
import json
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from ctl_helpers.project import MissingDataError


def lines(path: Path, remedy: str, encoding: str = "utf-8") -> list[str]:
    """A file's lines without their ends; a file that ends in ``.gz`` is decompressed.

    Lines end at line feeds alone: reviews and web pages have other separators inside a line.

    Args:
        path: the file.
        remedy: how to get it, after a colon.
        encoding: of its characters.

    Raises:
        MissingDataError: the file is not there, is damaged, has other characters, or is empty.
    """
    if not path.is_file():
        raise MissingDataError(f"there is no file {path}: {remedy}")
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        text = content.decode(encoding)
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise damaged(path, error, remedy) from None
    if not text.strip():
        raise MissingDataError(f"{path} is empty: delete it, then {remedy}")
    return [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]


def json_file(path: Path, remedy: str) -> Any:
    """What a JSON file holds.

    Raises:
        MissingDataError: as :func:`lines`, or the file is no JSON.
    """
    content = "\n".join(lines(path, remedy))
    try:
        return json.loads(content)
    except ValueError as error:
        raise damaged(path, error, remedy) from None


def json_lines(path: Path, fields: Sequence[str], remedy: str) -> list[dict[str, Any]]:
    """The records of a file that has one in JSON on each line.

    Args:
        path: the file, perhaps compressed.
        fields: names that every record needs.
        remedy: how to get the file, after a colon.

    Raises:
        MissingDataError: as :func:`lines`, or a line is no JSON or lacks a field.
    """
    records = []
    for number, line in enumerate(lines(path, remedy), 1):
        try:
            record = json.loads(line)
        except ValueError as error:
            raise damaged(path, f"line {number}: {error}", remedy) from None
        lacking = [name for name in fields if name not in record]
        if lacking:
            raise MissingDataError(
                f"line {number} of {path} has no {lacking[0]!r}, so it is another file: {remedy}"
            )
        records.append(record)
    return records


def table(
    path: Path,
    columns: Sequence[str],
    remedy: str,
    header: bool = True,
    delimiter: str = "\t",
) -> list[tuple[str, ...]]:
    """Some columns of a table, a tuple a row.

    Args:
        path: the file.
        columns: the names of those to give, in this order. Where there is no header they name all
            columns of the file from left to right.
        remedy: how to get the file, after a colon.
        header: whether the first line names the columns.
        delimiter: between columns. Only tables with commas have quotes around cells.

    Raises:
        MissingDataError: as :func:`lines`, or a column is missing, or a row has too few or too
            many cells.
    """
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if delimiter == "," else csv.QUOTE_NONE
    whole = (f"{line}\n" for line in lines(path, remedy))  # a quoted cell may have several lines
    try:
        rows = list(csv.reader(whole, delimiter=delimiter, quoting=quoting, strict=True))
    except csv.Error as error:
        raise damaged(path, error, remedy) from None
    names = rows.pop(0) if header else list(columns)
    lacking = [name for name in columns if name not in names]
    if lacking:
        raise MissingDataError(
            f"{path} has no column {lacking[0]!r} but {names}, so it is another file: {remedy}"
        )
    for number, row in enumerate(rows, 1 + header):
        if len(row) != len(names):
            raise damaged(path, f"row {number} has {len(row)} cells, not {len(names)}", remedy)
    places = [names.index(name) for name in columns]
    return [tuple(row[place] for place in places) for row in rows]


def damaged(path: Path, reason: object, remedy: str) -> MissingDataError:
    """What to raise where a file is not whole: one sentence with the reason and the remedy."""
    said = " ".join(str(reason).split()).rstrip(".")
    return MissingDataError(f"{path} is damaged or incomplete ({said}): delete it, then {remedy}")
