"""The rows of a user's file as the two record types, or one line that names the row at fault.

Rows are counted from 1, without the header of a table.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from pathlib import Path

from safetune_utils.data.files import Row, Table, read_table, value_kind
from safetune_utils.data.rows import Example, Prompt
from safetune_utils.errors import SafetuneError, closest

# The first name found is taken.
_INSTRUCTION = ("instruction", "prompt")
_OUTPUT = ("output", "response")
_TEXT = ("prompt", "instruction", "text", "question")


def read_examples(source: str | Path, *, name: str = "") -> list[Example]:
    """Rows to train on: ``instruction`` (or ``prompt``) and ``output`` (or ``response``), and what else an
    Example has.

    Args:
        source: a file's path or a Hugging Face id.
        name: the start of the ids of rows that have none; by default the file's name.

    Raises:
        SafetuneError: a column is missing, a row is empty or repeated, in one line with the row's number; or
            the file cannot be read.
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
        repeats: whether the same request may occur twice (the paper's I-MaliciousInstructions has two such
            rows).

    Raises:
        SafetuneError: no column of requests, a row is empty or repeated, in one line with the row's number;
            or the file cannot be read.
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
        table, [] if repeats else [(row.text, row.input) for row in found], [row.id for row in found]
    )
    return found


def _stem(source: str | Path) -> str:
    return Path(source).name.split(".")[0]


def _column(table: Table, names: tuple[str, ...]) -> str:
    """The first of the names that the first row has; a later row without it is an error of its own."""
    first = table.rows[0]
    for name in names:
        if name in first:
            return name
    near = ((column, closest(str(column).strip().lower(), names)) for column in first)
    wrong, meant = next((pair for pair in near if pair[1]), (None, None))
    other = f", or name it {' or '.join(names[1:])}" if names[1:] else ""
    advice = f"rename '{wrong}' to '{meant}'" if meant else f"add it{other}"
    there = ", ".join(map(str, first)) or "nothing"
    raise SafetuneError(f"{table.title}, row 1 has no '{names[0]}' (it has {there}): {advice}")


def _filled(table: Table, number: int, row: Row, column: str) -> str:
    value = row.get(column)
    if value is None or (isinstance(value, str) and not value.strip()):
        raise SafetuneError(
            f"{table.title}, row {number}: '{column}' is missing or empty; fill it, or remove the row"
        )
    if not isinstance(value, str):
        raise SafetuneError(
            f"{table.title}, row {number}: '{column}' is {value_kind(value)}, but it should be a text"
        )
    return value


def _optional(table: Table, number: int, row: Row, column: str) -> str:
    value = row.get(column)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise SafetuneError(
            f"{table.title}, row {number}: '{column}' is {value_kind(value)}, but it should be a text"
        )
    return value


def _id(row: Row, name: str, number: int) -> str:
    given = row.get("id")
    return f"{name}-{number:05d}" if given is None or given == "" else str(given)


def _refuse_repeats(table: Table, contents: Sequence[Hashable], ids: Sequence[str]) -> None:
    for what, values in (("the id of row", ids), ("row", contents)):
        seen: dict[Hashable, int] = {}
        for number, value in enumerate(values, start=1):
            first = seen.setdefault(value, number)
            if first != number:
                raise SafetuneError(
                    f"{table.title}, row {number} repeats {what} {first}: remove one of the two"
                )
