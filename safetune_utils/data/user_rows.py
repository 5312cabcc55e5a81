"""The rows of a user's file as the two record types, or one line that names all rows at fault.

Which column is what is read from the columns' names and never guessed: where none, or more than one, could be
what is asked, the message names the option that says which. Rows are counted from 1, without the header of a
table.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from pathlib import Path

from safetune_utils.data.files import Fault, Row, Table, read_table, refuse, value_kind
from safetune_utils.data.rows import Example, Prompt
from safetune_utils.data.turns import read_turns
from safetune_utils.errors import SafetuneError, closest
from safetune_utils.settings import Reading

AS_IT_IS = Reading()

# Names of columns that are understood without being told.
_TRAINED = ("instruction", "prompt")
_ASKED = ("prompt", "instruction", "text", "question")
_ANSWERED = ("output", "response", "completion")
_TURNS = ("messages", "conversations")
# Other words for the two fields that have some, where a user says which column is which.
_SAME = {"prompt": "instruction", "response": "output"}

# Words of an input that programs write where there is none, and that may be meant as words all the same.
_WORDS_FOR_NOTHING = ("nan", "none", "null", "nil", "na", "n/a", "<na>", "<noinput>", "noinput", "no input")


def read_examples(
    source: str | Path, *, name: str = "", reading: Reading = AS_IT_IS, are_responses: bool = False
) -> list[Example]:
    """Rows of a request and its answer: ``instruction`` (or ``prompt``) and ``output`` (or ``response``, or
    ``completion``), or a conversation (see :mod:`safetune_utils.data.turns`); and what else an Example has.

    Args:
        source: a file's path or a Hugging Face id.
        name: the start of the ids of rows that have none; by default the file's name.
        reading: which columns have other names, and what words such as ``nan`` mean as an input.
        are_responses: whether the outputs are what a model wrote, which may be empty and may repeat.

    Raises:
        SafetuneError: a column is missing or not certain, rows are empty or repeated, in one line with the
            rows' numbers; or the file cannot be read.
    """
    table = read_table(source)
    rows = _Rows(table, _columns(table, reading, asked=_TRAINED, answered=True), reading)
    found = []
    for number, row in enumerate(table.rows, start=1):
        instruction, output = rows.said(row, number, answer="there" if are_responses else "filled")
        found.append(
            Example(
                id=rows.id(row, number, name or _stem(source)),
                instruction=instruction,
                input=rows.input(row, number),
                output=output,
                **{field: rows.text(row, number, field) for field in ("question", "topic", "kind")},
            )
        )
    if not are_responses:
        rows.check_repeats("", [(one.instruction, one.input, one.output) for one in found])
        rows.check_repeats("the id of ", [one.id for one in found])
    rows.refuse()
    return found


def read_prompts(
    source: str | Path, *, name: str = "", reading: Reading = AS_IT_IS, repeats: bool = False
) -> list[Prompt]:
    """Requests to test with: ``prompt``, ``instruction``, ``text`` or ``question``, or a conversation without
    its last answer (see :mod:`safetune_utils.data.turns`); and what else a Prompt has.

    Args:
        source: a file's path or a Hugging Face id.
        name: the start of the ids of rows that have none; by default the file's name.
        reading: which columns have other names, and what words such as ``nan`` mean as an input.
        repeats: whether the same request may occur twice (the paper's I-MaliciousInstructions has two such
            rows).

    Raises:
        SafetuneError: the column of requests is missing or not certain, rows are empty or repeated, in one
            line with the rows' numbers; or the file cannot be read.
    """
    table = read_table(source)
    rows = _Rows(table, _columns(table, reading, asked=_ASKED, answered=False), reading)
    found = []
    for number, row in enumerate(table.rows, start=1):
        text, _ = rows.said(row, number, answer="")
        fields = {field: rows.text(row, number, field) for field in ("topic", "kind", "label", "pair")}
        found.append(
            Prompt(
                id=rows.id(row, number, name or _stem(source)),
                text=text,
                input=rows.input(row, number),
                **fields | {"kind": fields["kind"] or rows.text(row, number, "type")},
            )
        )
    if not repeats:
        rows.check_repeats("", [(one.text, one.input) for one in found])
    rows.check_repeats("the id of ", [one.id for one in found])
    rows.refuse()
    return found


def has_answers(table: Table) -> bool:
    """Whether the rows of a table hold answers, so that they can be trained on."""
    first = table.rows[0]
    return any(name in first for name in _ANSWERED) or any(_holds_turns(first, name) for name in _TURNS)


class _Rows:
    """The rows of a table read field by field; what is wrong is gathered, and told at the end.

    Args:
        table: the rows.
        columns: the column of each field, as :func:`_columns` gives it.
        reading: what words such as ``nan`` mean as an input.
    """

    def __init__(self, table: Table, columns: dict[str, str], reading: Reading) -> None:
        self._title, self._columns, self._reading = table.title, columns, reading
        self._turns = _holds_turns(table.rows[0], columns["instruction"])
        self._faults: list[Fault] = []

    def said(self, row: Row, number: int, *, answer: str) -> tuple[str, str]:
        """A row's request and its answer, which must be ``filled``, or ``there``, or, with an empty word,
        is not read.
        """
        if not self._turns:
            request = self.text(row, number, "instruction", needed=True)
            if not answer:
                return request, ""
            return request, self.text(row, number, "output", needed=True, may_be_empty=answer == "there")
        column = self._columns["instruction"]
        try:
            turns = read_turns(row.get(column))
        except ValueError as error:
            self._add(number, f"'{column}': {error}", "correct the conversation, or remove the row")
            return "", ""
        if answer == "filled" and not turns.answer.strip():
            self._add(number, f"'{column}' ends without an answer", "add it, or remove the row")
        return turns

    def text(
        self, row: Row, number: int, field: str, *, needed: bool = False, may_be_empty: bool = False
    ) -> str:
        """The text of a field; an empty one where there is none."""
        column = self._columns.get(field, field)
        value = row.get(column)
        if isinstance(value, float) and value != value:  # how pandas writes what is missing
            value = None
        if value is None or (isinstance(value, str) and not value.strip() and not may_be_empty):
            if needed:
                self._add(number, f"'{column}' is missing or empty", "fill it, or remove the row")
            return ""
        if not isinstance(value, str):
            self._add(number, f"'{column}' is {value_kind(value)}, but it should be a text", "write a text")
            return ""
        return value

    def input(self, row: Row, number: int) -> str:
        """The text of an input. A word that may stand for none is asked about, unless it was said what such
        words mean.
        """
        found = self.text(row, number, "input")
        if found.strip().lower() not in _WORDS_FOR_NOTHING or self._reading.words_for_nothing == "keep":
            return found
        if self._reading.words_for_nothing == "ask":
            self._add(
                number,
                f"the input is '{found.strip()}', a word or no input",
                "say which with --words-for-nothing keep or drop (in a notebook: reading)",
            )
        return ""

    def id(self, row: Row, number: int, name: str) -> str:
        """The row's id, a text or a number; where it has none, a name with the row's number."""
        given = row.get(self._columns.get("id", "id"))
        if given is None or given == "" or given != given:
            return f"{name}-{number:05d}"
        if isinstance(given, bool) or not isinstance(given, (str, int, float)):
            self._add(number, f"the id is {value_kind(given)}", "write a text or a number")
        return str(given)

    def check_repeats(self, what: str, values: Sequence[Hashable]) -> None:
        """Find values that stand twice; a row with another fault is left out."""
        bad = {fault.number for fault in self._faults}
        seen: dict[Hashable, int] = {}
        for number, value in enumerate(values, start=1):
            if number not in bad and (first := seen.setdefault(value, number)) != number:
                self._add(number, f"it repeats {what}row {first}", "remove one of the two")

    def refuse(self) -> None:
        """Tell all that is wrong, if anything is."""
        refuse(self._title, sorted(self._faults))

    def _add(self, number: int, what: str, mend: str) -> None:
        self._faults.append(Fault(number, what, mend))


def _stem(source: str | Path) -> str:
    return Path(source).name.split(".")[0]


def _columns(table: Table, reading: Reading, *, asked: Sequence[str], answered: bool) -> dict[str, str]:
    """The column of each field that has another than its own name, and always that of ``instruction``.

    Raises:
        SafetuneError: one that was named is not there, or which it is is not certain.
    """
    first = table.rows[0]
    given: dict[str, str] = {_SAME.get(field, field): column for field, column in reading.columns.items()}
    if len(given) < len(reading.columns):
        raise SafetuneError(
            f"{table.title}: of {', '.join(reading.columns)}, which were named for it, two are the same "
            "field: name prompt or instruction, and response or output"
        )
    for field in ("label", "pair") if answered else ("output", "question"):
        given.pop(field, None)  # one saying stands for files of both kinds
    for field, column in given.items():
        if column not in first:
            raise SafetuneError(
                f"{table.title} has no column '{column}', which was said to be the {field} (it has "
                f"{_names(first)}): name one of these"
            )
    turns = [name for name in _TURNS if _holds_turns(first, name)]
    texts = [name for name in asked if name in first]
    answers = [name for name in _ANSWERED if name in first]
    if answered and turns and not ("output" in given or answers):
        texts = []  # without an answer they are not what a row is about
    if "instruction" not in given:
        given["instruction"] = _only(table, "instruction", [*texts, *turns], asked)
    if answered and "output" not in given and not _holds_turns(first, given["instruction"]):
        given["output"] = _only(table, "output", answers, _ANSWERED)
    return given


def _only(table: Table, field: str, found: Sequence[str], known: Sequence[str]) -> str:
    """The one column that was found for a field.

    Raises:
        SafetuneError: there is none, or there are several.
    """
    if len(found) == 1:
        return found[0]
    first = table.rows[0]
    if found:
        options = " or ".join(f"--columns {field}={name}" for name in found)
        raise SafetuneError(
            f"{table.title} has {' and '.join(map(repr, found))}, and each may be the {field}: say which "
            f"with {options} (in a notebook: reading)"
        )
    near = ((column, closest(str(column).strip().lower(), known)) for column in first)
    wrong, meant = next((pair for pair in near if pair[1]), (None, None))
    advice = f"rename '{wrong}' to '{meant}'" if meant else f"name it {' or '.join(known)}"
    raise SafetuneError(
        f"{table.title}, row 1 has no '{known[0]}' (it has {_names(first)}): {advice}, or say which column "
        f"it is with --columns {field}={wrong or 'NAME'} (in a notebook: reading)"
    )


def _names(row: Row) -> str:
    return ", ".join(map(str, row)) or "nothing"


def _holds_turns(row: Row, column: str) -> bool:
    return isinstance(row.get(column), list)
