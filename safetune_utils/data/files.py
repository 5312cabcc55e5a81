"""A user's file: whatever its form, it is read into the two record types, or told in one line with the row at
fault.

Forms, by the file's name: ``.jsonl``, ``.json`` (a list of objects, or the original repository's columns of
texts), ``.csv``, ``.tsv``, ``.parquet``; each of the text forms may end in ``.gz``. A name such as
``owner/name`` that is not a path is a data set of the Hugging Face Hub, with ``owner/name:split`` for another
split than ``train``.

Rows are counted from 1, without the header of a table.
"""

from __future__ import annotations

import csv
import difflib
import gzip
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from safetune_utils.data.rows import Example, Prompt
from safetune_utils.errors import SafetuneError

# Larger files are a mistake more often than a wish: the paper's largest set has 20,000 rows in 15 MB.
MAX_BYTES = 512 * 2**20
MAX_ROWS = 1_000_000

FORMS = (".jsonl", ".json", ".csv", ".tsv", ".parquet")

# The first name found is taken.
_INSTRUCTION = ("instruction", "prompt")
_OUTPUT = ("output", "response")
_TEXT = ("prompt", "instruction", "text", "question")

_HUB_NAME = re.compile(r"(?P<id>[A-Za-z0-9][\w.-]*/[\w.-]+)(?::(?P<split>[\w.-]+))?")


class Table(NamedTuple):
    """Rows as they stand in a file: what to call the file in a message, and one dictionary a row."""

    title: str
    rows: list[dict[str, Any]]


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

    Raises:
        SafetuneError: the file is not there, too large, not UTF-8, not of its form, or empty.
    """
    path = Path(source).expanduser()
    hub = _HUB_NAME.fullmatch(str(source))
    if not path.exists() and hub and _form(path) is None:
        return _checked(Table(str(source), _hub_rows(hub["id"], hub["split"] or "train")))
    if not path.is_file():
        raise SafetuneError(
            f"{path} is not there: give the path of a {', '.join(FORMS)} file, or a Hugging Face id such as owner/name"
        )
    form = _form(path)
    if form is None:
        raise SafetuneError(f"{path} is of no form that is read here: save it as {', '.join(FORMS)}")
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise SafetuneError(
            f"{path} has {size / 2**30:.1f} GB, and files up to {MAX_BYTES / 2**30:.1f} GB are read: cut it after the rows that you need, for instance row 20,000"
        )
    if form == ".parquet":
        return _checked(Table(str(path), _parquet_rows(path)))
    text = _text(path)
    if form == ".json":
        return _checked(Table(str(path), _json_rows(path, text)))
    if form == ".jsonl":
        return _checked(Table(str(path), list(_jsonl_rows(path, text))))
    return _checked(Table(str(path), list(_csv_rows(path, text, "\t" if form == ".tsv" else ","))))


def read_examples(source: str | Path, *, name: str = "") -> list[Example]:
    """Rows to train on: ``instruction`` (or ``prompt``) and ``output`` (or ``response``), and what else an
    Example has.

    Args:
        source: a file's path or a Hugging Face id.
        name: the start of the ids of rows that have none; by default the file's name.

    Raises:
        SafetuneError: a column is missing, a row is empty or stands twice, in one line with the row's number.
    """
    table = read_table(source)
    columns = {"instruction": _column(table, _INSTRUCTION), "output": _column(table, _OUTPUT)}
    found = []
    for number, row in enumerate(table.rows, start=1):
        found.append(
            Example(
                id=_id(row, name or _stem(source), number),
                instruction=_filled(table, number, row, columns["instruction"]),
                output=_filled(table, number, row, columns["output"]),
                **{
                    field: _optional(table, number, row, field)
                    for field in ("input", "question", "topic", "kind")
                },
            )
        )
    _refuse_repeats(
        table, [(row.instruction, row.input, row.output) for row in found], [row.id for row in found]
    )
    return found


def read_prompts(
    source: str | Path, *, name: str = "", column: str = "", repeats: bool = False
) -> list[Prompt]:
    """Requests to test with: ``prompt``, ``instruction``, ``text`` or ``question``, and what else a Prompt
    has.

    Args:
        source: a file's path or a Hugging Face id.
        name: the start of the ids of rows that have none; by default the file's name.
        column: where the requests are; by default the first of the four names above that the file has.
        repeats: whether the same request may stand twice (the paper's I-MaliciousInstructions has two such
            rows).

    Raises:
        SafetuneError: no column of requests, a row is empty or stands twice, in one line with the row's
            number.
    """
    table = read_table(source)
    column = _column(table, (column,) if column else _TEXT)
    found = []
    for number, row in enumerate(table.rows, start=1):
        kind = _optional(table, number, row, "kind") or _optional(table, number, row, "type")
        found.append(
            Prompt(
                id=_id(row, name or _stem(source), number),
                text=_filled(table, number, row, column),
                kind=kind,
                **{
                    field: _optional(table, number, row, field)
                    for field in ("input", "topic", "label", "pair")
                },
            )
        )
    _refuse_repeats(
        table, None if repeats else [(row.text, row.input) for row in found], [row.id for row in found]
    )
    return found


def _form(path: Path) -> str | None:
    name = path.name.removesuffix(".gz")
    return next((form for form in FORMS if name.endswith(form)), None)


def _stem(source: str | Path) -> str:
    return Path(source).name.split(".")[0]


def _text(path: Path) -> str:
    content = path.read_bytes()
    if path.suffix == ".gz":
        try:
            with gzip.open(io.BytesIO(content)) as file:
                content = file.read(MAX_BYTES + 1)
        except (OSError, EOFError) as error:
            raise SafetuneError(
                f"{path} is not a whole gzip file ({error}): fetch or pack it again"
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


def _jsonl_rows(path: Path, text: str) -> Iterator[dict[str, Any]]:
    # Not splitlines: a text may hold line separators of other alphabets.
    for line_number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise SafetuneError(
                f"{path}, line {line_number} is not JSON ({error.msg}): mend that line"
            ) from None
        if not isinstance(row, dict):
            raise SafetuneError(
                f'{path}, line {line_number} is {_kind(row)} and not one record: write an object such as {{"instruction": "…"}}'
            )
        yield row


def _json_rows(path: Path, text: str) -> list[dict[str, Any]]:
    if not text.strip():
        return []
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        mend = "name it .jsonl if it has one object a line" if error.msg == "Extra data" else "mend that line"
        raise SafetuneError(f"{path}, line {error.lineno} is not JSON ({error.msg}): {mend}") from None
    if isinstance(content, dict):
        return _columns_to_rows(path, content)
    if not isinstance(content, list):
        raise SafetuneError(f"{path} holds {_kind(content)}: write a list of objects, or columns of texts")
    for number, row in enumerate(content, start=1):
        if not isinstance(row, dict):
            raise SafetuneError(
                f'{path}, row {number} is {_kind(row)} and not one record: write an object such as {{"instruction": "…"}}'
            )
    return content


# column of the original -> field of a row
_ORIGINAL_COLUMNS = {"instructions": "instruction", "inputs": "input", "outputs": "output", "tags": "topic", "instruction": "instruction", "input": "input", "output": "output"}  # fmt: skip


def _columns_to_rows(path: Path, content: dict[str, Any]) -> list[dict[str, Any]]:
    columns = {
        _ORIGINAL_COLUMNS[name]: values for name, values in content.items() if name in _ORIGINAL_COLUMNS
    }
    if "instruction" not in columns:
        raise SafetuneError(
            f"{path} is one object without 'instructions' (it has {', '.join(content)}): write a list of objects, or the original's columns"
        )
    # The original leaves "inputs" empty where no row has one.
    columns = {name: values for name, values in columns.items() if values != []} or {"instruction": []}
    for name, values in columns.items():
        if not isinstance(values, list):
            raise SafetuneError(f"{path}: '{name}' is {_kind(values)}, but it should be a list of texts")
        if len(values) != len(columns["instruction"]):
            raise SafetuneError(
                f"{path} has {len(columns['instruction'])} instructions and {len(values)} {name}s: it needs one for each, or none"
            )
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _csv_rows(path: Path, text: str, delimiter: str) -> Iterator[dict[str, Any]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        header = next(reader, [])
        for number, values in enumerate((row for row in reader if row), start=1):
            if len(values) != len(header):
                raise SafetuneError(
                    f"{path}, row {number} (line {reader.line_num}) has {len(values)} fields and the header has {len(header)}: quote texts that hold a {'tab' if delimiter == chr(9) else 'comma'}"
                )
            yield dict(zip(header, values, strict=True))
    except csv.Error as error:
        raise SafetuneError(
            f"{path}, line {reader.line_num} is not a row of a table ({error}): mend its quotes"
        ) from None


def _parquet_rows(path: Path) -> list[dict[str, Any]]:
    import pyarrow
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(path)
        if file.metadata.num_rows > MAX_ROWS:
            raise SafetuneError(_too_many(str(path)))
        return file.read().to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        raise SafetuneError(
            f"{path} is not a whole Parquet file ({str(error).splitlines()[0]}): write it again"
        ) from None


def _hub_rows(name: str, split: str) -> list[dict[str, Any]]:
    import datasets

    try:
        return datasets.load_dataset(name, split=f"{split}[:{MAX_ROWS}]").to_list()
    except Exception as error:  # the library raises many kinds, and each means that the set cannot be had
        raise SafetuneError(
            f"'{name}' is no file here and could not be read from the Hugging Face Hub ({str(error).splitlines()[0] if str(error) else type(error).__name__}): check the name, the split '{split}' and the network"
        ) from None


def _checked(table: Table) -> Table:
    if not table.rows:
        raise SafetuneError(f"{table.title} is empty: give it at least one row")
    if len(table.rows) > MAX_ROWS:
        raise SafetuneError(_too_many(table.title))
    return table


def _too_many(title: str) -> str:
    return f"{title} has a row {MAX_ROWS + 1:,}, and {MAX_ROWS:,} rows are read: cut it after the rows that you need"


def _column(table: Table, names: tuple[str, ...]) -> str:
    """The first of the names that the first row has; later rows without it are told one by one."""
    first = table.rows[0]
    for name in names:
        if name in first:
            return name
    close = next(
        (
            match
            for column in first
            for match in difflib.get_close_matches(str(column).strip().lower(), names, n=1)
        ),
        None,
    )
    wrong = close and next(
        column for column in first if difflib.get_close_matches(str(column).strip().lower(), [close], n=1)
    )
    other = f", or name it {' or '.join(names[1:])}" if names[1:] else ""
    mend = f"rename '{wrong}' to '{close}'" if close else f"add it{other}"
    raise SafetuneError(
        f"{table.title}, row 1 has no '{names[0]}' (it has {', '.join(map(str, first)) or 'nothing'}): {mend}"
    )


def _filled(table: Table, number: int, row: dict[str, Any], column: str) -> str:
    value = row.get(column)
    if value is None or (isinstance(value, str) and not value.strip()):
        raise SafetuneError(
            f"{table.title}, row {number}: '{column}' is missing or empty; fill it, or remove the row"
        )
    if not isinstance(value, str):
        raise SafetuneError(
            f"{table.title}, row {number}: '{column}' is {_kind(value)}, but it should be a text"
        )
    return value


def _optional(table: Table, number: int, row: dict[str, Any], column: str) -> str:
    value = row.get(column)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise SafetuneError(
            f"{table.title}, row {number}: '{column}' is {_kind(value)}, but it should be a text"
        )
    return value


def _id(row: dict[str, Any], name: str, number: int) -> str:
    given = row.get("id")
    return f"{name}-{number:05d}" if given is None or given == "" else str(given)


def _refuse_repeats(table: Table, contents: list[tuple[str, ...]] | None, ids: list[str]) -> None:
    for what, values in (("the id of", ids), ("", contents or [])):
        seen: dict[Any, int] = {}
        for number, value in enumerate(values, start=1):
            first = seen.setdefault(value, number)
            if first != number:
                raise SafetuneError(
                    f"{table.title}, row {number} repeats {what + ' ' if what else ''}row {first}: remove one of the two"
                )


def _kind(value: Any) -> str:
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
