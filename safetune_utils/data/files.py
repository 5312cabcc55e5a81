"""A file of rows as a table, whatever its form, or one line that says what is wrong with it.

Forms, by the file's name: ``.jsonl``, ``.json`` (a list of objects, or the original repository's columns of
texts), ``.csv``, ``.tsv``, ``.parquet``; each of the text forms may end in ``.gz``. A name such as
``owner/name`` that is not a path is a data set of the Hugging Face Hub; write ``owner/name:split`` for
another split than ``train``.

Rows are counted from 1, without the header of a table. What a row means is for
:mod:`safetune_utils.data.user_rows`.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from safetune_utils.errors import SafetuneError, first_line

# A larger file is most likely a mistake: the paper's largest set has 20,000 rows in 15 MB.
MAX_BYTES = 512 * 2**20
MAX_ROWS = 1_000_000

FORMS = (".jsonl", ".json", ".csv", ".tsv", ".parquet")

_HUB_NAME = re.compile(r"(?P<id>[A-Za-z0-9][\w.-]*/[\w.-]+)(?::(?P<split>[\w.-]+))?")


Row = dict[str, Any]
"""A row as it is in a file: its fields by name, with values of any kind that such a file can hold."""


class Table(NamedTuple):
    """The rows of a file: what to call the file in a message, and one dictionary a row."""

    title: str
    rows: list[Row]


def is_file_name(source: str) -> bool:
    """Whether a name means a file or a data set of the Hub rather than a named set."""
    path = Path(source).expanduser()
    return (
        path.is_file() or _form(path) is not None or bool(_HUB_NAME.fullmatch(source) and not path.exists())
    )


def read_table(source: str | Path) -> Table:
    """The rows of a file or of a data set of the Hugging Face Hub.

    The original repository's columns of texts (``instructions``, ``inputs``, ``tags``, and ``instruction``,
    ``input``, ``output``) become one row a text, with ``instruction``, ``input``, ``output`` and ``topic``.

    Args:
        source: a file's path or a Hugging Face id.

    Raises:
        SafetuneError: the file does not exist, is too large (see :data:`MAX_BYTES`, :data:`MAX_ROWS`), is not
            UTF-8, not of its form, or empty; or the data set cannot be fetched.
    """
    path = Path(source).expanduser()
    hub = _HUB_NAME.fullmatch(str(source))
    if not path.exists() and hub and _form(path) is None:
        return _checked(Table(str(source), _hub_rows(hub["id"], hub["split"] or "train")))
    if not path.is_file():
        raise SafetuneError(
            f"{path} is not there: give the path of a {', '.join(FORMS)} file, or a Hugging Face id such as "
            "owner/name"
        )
    form = _form(path)
    if form is None:
        raise SafetuneError(f"{path} is of no form that is read here: save it as {', '.join(FORMS)}")
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise SafetuneError(
            f"{path} has {size / 2**30:.1f} GB, and files up to {MAX_BYTES / 2**30:.1f} GB are read: cut it "
            "after the rows that you need, for instance row 20,000"
        )
    if form == ".parquet":
        return _checked(Table(str(path), _parquet_rows(path)))
    text = _text(path)
    if form == ".json":
        return _checked(Table(str(path), _json_rows(path, text)))
    if form == ".jsonl":
        return _checked(Table(str(path), list(_jsonl_rows(path, text))))
    return _checked(Table(str(path), list(_csv_rows(path, text, "\t" if form == ".tsv" else ","))))


def _form(path: Path) -> str | None:
    name = path.name.removesuffix(".gz")
    return next((form for form in FORMS if name.endswith(form)), None)


def _text(path: Path) -> str:
    content = path.read_bytes()
    if path.suffix == ".gz":
        try:
            with gzip.open(io.BytesIO(content)) as file:
                content = file.read(MAX_BYTES + 1)
        except (OSError, EOFError) as error:
            raise SafetuneError(
                f"{path} is not a whole gzip file ({first_line(error)}): fetch or pack it again"
            ) from None
        if len(content) > MAX_BYTES:
            raise SafetuneError(
                f"{path} unpacks to more than {MAX_BYTES / 2**30:.1f} GB: cut it after the rows that you need"
            )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        kind = "UTF-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "not UTF-8"
        line = content[: error.start].count(b"\n") + 1
        raise SafetuneError(f"{path} is {kind} (line {line}, byte {error.start}): save it as UTF-8") from None


def _jsonl_rows(path: Path, text: str) -> Iterator[Row]:
    # Not splitlines: a text may contain line separators other than "\n", such as U+2028.
    for line_number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise SafetuneError(
                f"{path}, line {line_number} is not JSON ({error.msg}): correct that line"
            ) from None
        if not isinstance(row, dict):
            raise SafetuneError(
                f"{path}, line {line_number} is {value_kind(row)} and not one record: write an object such "
                'as {"instruction": "…"}'
            )
        yield row


def _json_rows(path: Path, text: str) -> list[Row]:
    if not text.strip():
        return []
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        several = error.msg == "Extra data"
        advice = "name it .jsonl if it has one object a line" if several else "correct that line"
        raise SafetuneError(f"{path}, line {error.lineno} is not JSON ({error.msg}): {advice}") from None
    if isinstance(content, dict):
        return _columns_to_rows(path, content)
    if not isinstance(content, list):
        raise SafetuneError(
            f"{path} holds {value_kind(content)}: write a list of objects, or columns of texts"
        )
    for number, row in enumerate(content, start=1):
        if not isinstance(row, dict):
            raise SafetuneError(
                f"{path}, row {number} is {value_kind(row)} and not one record: write an object such as "
                '{"instruction": "…"}'
            )
    return content


# column of the original -> field of a row
_ORIGINAL_COLUMNS = {
    "instructions": "instruction",
    "inputs": "input",
    "outputs": "output",
    "tags": "topic",
    "instruction": "instruction",
    "input": "input",
    "output": "output",
}


def _columns_to_rows(path: Path, content: dict[str, Any]) -> list[Row]:
    columns = {
        _ORIGINAL_COLUMNS[name]: values for name, values in content.items() if name in _ORIGINAL_COLUMNS
    }
    if "instruction" not in columns:
        raise SafetuneError(
            f"{path} is one object without 'instructions' (it has {', '.join(content)}): write a list of "
            "objects, or the original's columns"
        )
    # The original leaves "inputs" empty where no row has one.
    columns = {name: values for name, values in columns.items() if values != []} or {"instruction": []}
    for name, values in columns.items():
        if not isinstance(values, list):
            raise SafetuneError(f"{path}: '{name}' is {value_kind(values)}, but it should be a list of texts")
        if len(values) != len(columns["instruction"]):
            raise SafetuneError(
                f"{path} has {len(columns['instruction'])} instructions and {len(values)} {name}s: it needs "
                "one for each, or none"
            )
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _csv_rows(path: Path, text: str, delimiter: str) -> Iterator[Row]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        header = next(reader, [])
        for number, values in enumerate((row for row in reader if row), start=1):
            if len(values) != len(header):
                raise SafetuneError(
                    f"{path}, row {number} (line {reader.line_num}) has {len(values)} fields and the header "
                    f"has {len(header)}: quote texts that hold a {'tab' if delimiter == chr(9) else 'comma'}"
                )
            yield dict(zip(header, values, strict=True))
    except csv.Error as error:
        raise SafetuneError(
            f"{path}, line {reader.line_num} is not a row of a table ({first_line(error)}): "
            "correct its quotes"
        ) from None


def _parquet_rows(path: Path) -> list[Row]:
    import pyarrow
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(path)
        if file.metadata.num_rows > MAX_ROWS:
            raise SafetuneError(_too_many(str(path)))
        return file.read().to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        raise SafetuneError(
            f"{path} is not a whole Parquet file ({first_line(error)}): write it again"
        ) from None


def _hub_rows(name: str, split: str) -> list[Row]:
    import datasets

    try:
        return datasets.load_dataset(name, split=f"{split}[:{MAX_ROWS}]").to_list()
    except Exception as error:  # the library raises many kinds, and each means that the set cannot be read
        raise SafetuneError(
            f"'{name}' is no file here and could not be read from the Hugging Face Hub "
            f"({first_line(error)}): check the name, the split '{split}' and the network"
        ) from None


def _checked(table: Table) -> Table:
    if not table.rows:
        raise SafetuneError(f"{table.title} is empty: give it at least one row")
    if len(table.rows) > MAX_ROWS:
        raise SafetuneError(_too_many(table.title))
    return table


def _too_many(title: str) -> str:
    return (
        f"{title} has a row {MAX_ROWS + 1:,}, and {MAX_ROWS:,} rows are read: cut it after the rows that you "
        "need"
    )


def value_kind(value: object) -> str:
    """What a value of a row is, in words for a message: ``a text``, ``a list``, ``nothing``."""
    names = {
        bool: "true or false",
        int: "a number",
        float: "a number",
        str: "a text",
        list: "a list",
        dict: "an object",
        type(None): "nothing",
    }
    return names.get(type(value), f"a {type(value).__name__}")
