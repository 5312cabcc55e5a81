"""A file of rows as a table, whatever its form, or one line that says what is wrong with it.

Forms, by the file's name: ``.jsonl``, ``.json`` (a list of objects, or the original repository's columns of
texts), ``.csv``, ``.tsv``, ``.parquet``; each may end in ``.gz``. The fields of a table in text are separated
by whatever separates its header: comma, semicolon, tab or bar. A name such as ``owner/name`` that is not a
path is a data set of the Hugging Face Hub; write ``owner/name:split`` for another split than ``train``.

Rows are counted from 1, without the header of a table. What a row means is for
:mod:`safetune_utils.data.user_rows`.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections import Counter
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from safetune_utils import strict_json
from safetune_utils.errors import SafetuneError, first_line
from safetune_utils.machine.hub import hub_answers

# A larger file is most likely a mistake: the paper's largest set has 20,000 rows in 15 MB.
MAX_BYTES = 512 * 2**20
MAX_ROWS = 1_000_000

FORMS = (".jsonl", ".json", ".csv", ".tsv", ".parquet")

_HUB_NAME = re.compile(r"(?P<id>[A-Za-z0-9][\w.-]*/[\w.-]+)(?::(?P<split>[\w.-]+))?")
_FAULTS_SHOWN = 10
# The column of a table of ours that names the columns in which a text was kept from a spreadsheet's formulas,
# see :mod:`safetune_utils.data.outputs`.
DISARMED = "disarmed_by_safetune"


Row = dict[str, Any]
"""A row as it is in a file: its fields by name, with values of any kind that such a file can hold."""


class Table(NamedTuple):
    """The rows of a file: what to call the file in a message, and one dictionary a row."""

    title: str
    rows: list[Row]


def form_of(path: Path, forms: Sequence[str] = FORMS) -> str | None:
    """The form that a file's name says, one of ``forms``, before ``.gz`` where it ends in that; ``None``
    where it says none of them.
    """
    name = path.name.lower().removesuffix(".gz")
    return next((form for form in forms if name.endswith(form)), None)


class Fault(NamedTuple):
    """What is wrong with a row, or a line: its number, what it is, and what to do about it."""

    number: int
    what: str
    mend: str


def refuse(title: str, faults: Sequence[Fault], *, unit: str = "row") -> None:
    """Tell all faults of a file at once: the first ten by number, and how many there are.

    Args:
        title: what to call the file.
        faults: in the order of the file; where there are none, nothing happens.
        unit: what the numbers count, ``row`` or ``line``.

    Raises:
        SafetuneError: there is a fault.
    """
    if not faults:
        return
    if len(faults) == 1:
        raise SafetuneError(f"{title}, {unit} {faults[0].number}: {faults[0].what}: {faults[0].mend}")
    shown = faults[:_FAULTS_SHOWN]
    alike: dict[str, list[str]] = {}
    for fault in shown:
        alike.setdefault(fault.what, []).append(str(fault.number))
    told = "; ".join(
        f"{unit}{'s' if len(numbers) > 1 else ''} {', '.join(numbers)}: {what}"
        for what, numbers in alike.items()
    )
    more = f"; and {len(faults) - len(shown)} more" if len(faults) > len(shown) else ""
    mends = "; ".join(dict.fromkeys(fault.mend for fault in shown))
    raise SafetuneError(f"{title} has {len(faults)} faults: {told}{more}: {mends}")


def is_file_name(source: str) -> bool:
    """Whether a name means a file or a data set of the Hub rather than a named set."""
    path = Path(source).expanduser()
    return (
        path.is_file() or form_of(path) is not None or bool(_HUB_NAME.fullmatch(source) and not path.exists())
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
    if not path.exists() and hub and form_of(path) is None:
        return _checked(Table(str(source), _hub_rows(hub["id"], hub["split"] or "train")))
    if path.exists() and not path.is_file():
        raise SafetuneError(f"{path} is no file: give the path of one of the forms {', '.join(FORMS)}")
    if not path.is_file():
        raise SafetuneError(
            f"{path} is not there: give the path of a {', '.join(FORMS)} file, or a Hugging Face id such as "
            "owner/name"
        )
    form = form_of(path)
    if form is None:
        raise SafetuneError(f"{path} is of no form that is read here: save it as {', '.join(FORMS)}")
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise SafetuneError(
            f"{path} has {size / 2**30:.1f} GB, and files up to {MAX_BYTES / 2**30:.1f} GB are read: cut it "
            "after the rows that you need, for instance row 20,000"
        )
    content = _content(path)
    if form == ".parquet":
        return _checked(Table(str(path), _parquet_rows(path, content)))
    text = _text(path, content)
    if form == ".json":
        return _checked(Table(str(path), _json_rows(path, text)))
    if form == ".jsonl":
        return _checked(Table(str(path), _jsonl_rows(path, text)))
    return _checked(Table(str(path), _table_rows(path, text)))


def _content(path: Path) -> bytes:
    content = path.read_bytes()
    if path.suffix.lower() == ".gz":
        try:
            with gzip.open(io.BytesIO(content)) as file:
                content = file.read(MAX_BYTES + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise SafetuneError(
                f"{path} is not a whole gzip file ({first_line(error)}): fetch or pack it again"
            ) from None
        if len(content) > MAX_BYTES:
            raise SafetuneError(
                f"{path} unpacks to more than {MAX_BYTES / 2**30:.1f} GB: cut it after the rows that you need"
            )
    return content


# How a file begins that says its encoding itself; the longer mark comes first.
_MARKS = {
    b"\xff\xfe\x00\x00": "utf-32",
    b"\x00\x00\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}


def _text(path: Path, content: bytes) -> str:
    encoding = next((name for mark, name in _MARKS.items() if content.startswith(mark)), "utf-8-sig")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        kind = "UTF-8" if encoding == "utf-8-sig" else encoding.upper()
        line = content[: error.start].count(b"\n") + 1
        raise SafetuneError(
            f"{path} is not {kind} (line {line}, byte {error.start}): save it as UTF-8"
        ) from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise SafetuneError(
            f"{path}, line {line} holds a character of value 0, as UTF-16 does: save it as UTF-8"
        )
    return text


def _jsonl_rows(path: Path, text: str) -> list[Row]:
    rows, faults = [], []
    # Not splitlines: a text may contain line separators other than "\n", such as U+2028.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = strict_json.parse(line)
        except strict_json.JsonFault as fault:
            told = f"not JSON ({fault})" if fault.is_syntax else f"JSON that is not read ({fault})"
            faults.append(Fault(number, told, "correct that line"))
            continue
        if isinstance(row, dict):
            rows.append(row)
        else:
            faults.append(Fault(number, f"{value_kind(row)} and not one record", _ONE_RECORD))
    refuse(str(path), faults, unit="line")
    return rows


_ONE_RECORD = 'write an object such as {"instruction": "…"}'


def _json_rows(path: Path, text: str) -> list[Row]:
    if not text.strip():
        return []
    try:
        content = strict_json.parse(text)
    except strict_json.JsonFault as fault:
        several = str(fault) == "Extra data"
        advice = "name it .jsonl if it has one object a line" if several else "correct it"
        if not fault.is_syntax:
            raise SafetuneError(f"{path} is JSON that is not read ({fault}): {advice}") from None
        raise SafetuneError(f"{path}, line {fault.line}: not JSON ({fault}): {advice}") from None
    if isinstance(content, dict):
        return _columns_to_rows(path, content)
    if not isinstance(content, list):
        raise SafetuneError(
            f"{path} holds {value_kind(content)}: write a list of objects, or columns of texts"
        )
    faults = [
        Fault(number, f"{value_kind(row)} and not one record", _ONE_RECORD)
        for number, row in enumerate(content, start=1)
        if not isinstance(row, dict)
    ]
    refuse(str(path), faults)
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
    known = [name for name in content if name in _ORIGINAL_COLUMNS]
    columns = {_ORIGINAL_COLUMNS[name]: content[name] for name in known}
    if len(columns) < len(known):
        raise SafetuneError(f"{path} has a column under two names ({', '.join(known)}): leave one of the two")
    if "instruction" not in columns:
        raise SafetuneError(
            f"{path} is one object without 'instructions' (it has {', '.join(content)}): write a list of "
            "objects, or the original's columns"
        )
    # The original leaves "inputs" empty where no row has one.
    columns = {name: values for name, values in columns.items() if values != [] or name == "instruction"}
    for name, values in columns.items():
        if not isinstance(values, list):
            raise SafetuneError(f"{path}: '{name}' is {value_kind(values)}, but it should be a list of texts")
    for name, values in columns.items():
        if len(values) != len(columns["instruction"]):
            raise SafetuneError(
                f"{path} has {len(columns['instruction'])} instructions and {len(values)} {name}s: it needs "
                "one for each, or none"
            )
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}


def _table_rows(path: Path, text: str) -> list[Row]:
    csv.field_size_limit(MAX_BYTES)
    # A first line that Excel writes, and understands.
    said = re.match(r"sep=([,;\t|])\r?\n", text, re.IGNORECASE)
    text = text[said.end() :] if said else text
    separator = said[1] if said else _separator(path, text)
    records = _records(text, separator)
    rows, faults = [], []
    try:
        header = [name.strip() for name in next(records, [])]
        twice = [name for name, count in Counter(filter(None, header)).items() if count > 1]
        if twice:
            raise SafetuneError(f"{path} has the column '{twice[0]}' twice: rename or remove one of the two")
        for values in filter(any, records):
            if len(values) == len(header):
                rows.append(_armed(dict(zip(header, values, strict=True))))
            else:
                what = f"{len(values)} in place of {len(header)} fields"
                mend = f"quote texts that hold {_SEPARATORS.get(separator, separator)}"
                faults.append(Fault(records.line_num, what, mend))
    except csv.Error as error:
        raise SafetuneError(
            f"{path}, line {records.line_num} is not a row of a table ({first_line(error)}): correct its "
            "quotes"
        ) from None
    refuse(str(path), faults, unit="line")
    return rows


def _armed(row: Row) -> Row:
    """A row of a table that this package wrote, with the texts as they were before they were disarmed."""
    changed = row.pop(DISARMED, "").split(",")
    return {name: value.removeprefix("'") if name in changed else value for name, value in row.items()}


def _records(text: str, separator: str) -> Any:
    return csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)


def _separator(path: Path, text: str) -> str:
    """What separates the fields of a table: what its header can be cut at, and where that is not certain,
    what cuts the first hundred rows into as many fields.

    Raises:
        SafetuneError: that is not certain either.
    """
    headers = {one: _first_records(text, one, 1) for one in _SEPARATORS}
    able = [one for one, found in headers.items() if found and len(found[0]) > 1]
    if len(able) > 1:
        even = [one for one in able if len({len(record) for record in _first_records(text, one, 100)}) == 1]
        if len(even) != 1:
            names = " or ".join(_SEPARATORS[one] for one in able)
            raise SafetuneError(
                f"{path} may be separated by {names}: write its header with what separates the fields alone"
            )
        able = even
    return able[0] if able else ("\t" if path.name.lower().removesuffix(".gz").endswith(".tsv") else ",")


def _first_records(text: str, separator: str, n: int) -> list[list[str]]:
    """The first records that are not empty; none where they cannot be read with this separator."""
    try:
        return list(islice(filter(any, _records(text, separator)), n))
    except csv.Error:
        return []


def _parquet_rows(path: Path, content: bytes) -> list[Row]:
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(io.BytesIO(content))
        groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
        n_bytes = sum(group.total_byte_size for group in groups)
        n_rows = file.metadata.num_rows
        twice = [name for name, count in Counter(file.schema_arrow.names).items() if count > 1]
        rows = file.read().to_pylist() if n_rows <= MAX_ROWS and n_bytes <= MAX_BYTES else []
    except Exception as error:  # the library raises many kinds, and each means that the file cannot be read
        raise SafetuneError(
            f"{path} is not a whole Parquet file ({first_line(error)}): write it again"
        ) from None
    if twice:
        raise SafetuneError(f"{path} has the column '{twice[0]}' twice: rename or remove one of the two")
    if n_rows > MAX_ROWS:
        raise SafetuneError(_too_many(str(path)))
    if n_bytes > MAX_BYTES:
        raise SafetuneError(
            f"{path} unpacks to more than {MAX_BYTES / 2**30:.1f} GB: cut it after the rows that you need"
        )
    return rows


def _hub_rows(name: str, split: str) -> list[Row]:
    import datasets

    if not hub_answers():
        datasets.config.HF_HUB_OFFLINE = True  # what was fetched before is read all the same
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
        float: "NaN, a number that is none" if value != value else "a number",
        str: "a text",
        list: "a list",
        dict: "an object",
        type(None): "nothing",
    }
    return names.get(type(value), f"a {type(value).__name__}")
