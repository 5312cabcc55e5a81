"""What the groups of commands share: the program, options, tables as text, and parameters from words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from safetune_utils.errors import SafetuneError
from safetune_utils.terminal import plain

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help=(
        "Run the experiments of the Safety-Tuned LLaMAs book, and each of their steps by itself.\n\nExit"
        " status 0 only when the work is done; 2 for a mistake that its one line on standard error says how"
        " to mend; 130 after Ctrl-C."
    ),
)

AsJson = Annotated[bool, typer.Option("--json", help="print JSON for a program to read")]
Assignments = Annotated[
    list[str] | None,
    typer.Option(
        "-p",
        "--parameter",
        metavar="NAME VALUE",
        help="a notebook parameter, as with papermill: -p safety_amounts '[0, 100]'",
    ),
]


Preset = Annotated[
    str | None,
    typer.Option(
        help="smoke, classroom, pocket, course, paper or repository; auto is what this machine can do"
    ),
]


Config = Annotated[
    Path | None,
    typer.Option(help="parameters from a YAML file, as papermill's -f takes them; -p and --preset go before"),
]


Columns = Annotated[
    str,
    typer.Option(
        metavar="FIELD=COLUMN,…",
        help="columns of your files under other names: instruction=goal,output=target",
    ),
]
WordsForNothing = Annotated[
    str,
    typer.Option(help="an input that is only a word such as nan or None: ask, keep the word, or drop it"),
]


def table(rows: Sequence[Mapping[str, object]], columns: list[str]) -> str:
    """Rows as text in columns, each on one line; numbers to the right."""
    texts = [["" if row[name] is None else plain(str(row[name])) for name in columns] for row in rows]
    cells = [columns, *texts]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    numeric = [all(isinstance(row[name], (int, float, type(None))) for row in rows) for name in columns]
    return "\n".join(
        "  ".join(
            cell.rjust(w) if right else cell.ljust(w)
            for cell, w, right in zip(line, widths, numeric, strict=True)
        ).rstrip()
        for line in cells
    )


def given_from(
    assignments: list[str] | None, preset: str | None, config: Path | None = None
) -> dict[str, Any]:
    """The parameters that a command line gives, by name.

    Raises:
        SafetuneError: one has no value, or the file is no YAML with names and values.
    """
    from safetune_utils.book.parameters import parse_value

    given: dict[str, Any] = {"preset": preset} if preset else {}
    for assignment in assignments or []:
        name, equals, value = assignment.partition("=")
        name = name.strip()
        if not name or not equals:
            lacks = "value" if name else "name"
            raise SafetuneError(f"parameter '{assignment}' has no {lacks}: write -p NAME VALUE")
        if name in given:
            raise SafetuneError(f"parameter '{name}' is given twice: leave one of the two away")
        given[name] = parse_value(value)
    return (_read_config(config) if config else {}) | given


def _read_config(path: Path) -> dict[str, Any]:
    from safetune_utils import strict_yaml

    found = strict_yaml.read(path)
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        raise SafetuneError(f"{path} holds no parameters: write one a line, such as `seeds: [0, 1]`")
    return found


def save_config(path: Path, given: Mapping[str, Any]) -> None:
    """Write parameters as a YAML file, for ``--config`` and for papermill's ``-f``."""
    from safetune_utils import strict_yaml
    from safetune_utils.machine.files import write_text

    if path.suffix not in (".yml", ".yaml"):
        raise SafetuneError(f"{path} is no name of a YAML file: let it end in .yml")
    write_text(path, strict_yaml.written(given))


def reading_from(columns: str, words_for_nothing: str) -> dict[str, Any]:
    """The parameter ``reading`` from the two options of a command line.

    Raises:
        SafetuneError: ``columns`` is not of the form ``FIELD=COLUMN,FIELD=COLUMN``.
    """
    pairs = [pair.partition("=") for pair in columns.split(",") if pair.strip()]
    if not all(field.strip() and equals and column.strip() for field, equals, column in pairs):
        raise SafetuneError(
            f"--columns is '{columns}': write FIELD=COLUMN, with a comma between pairs, such as "
            "instruction=goal,output=target"
        )
    named = {field.strip(): column.strip() for field, _, column in pairs}
    if columns and len(named) < len(pairs):
        raise SafetuneError(f"--columns is '{columns}', which names a field twice: leave one of the two away")
    return {"columns": named, "words_for_nothing": words_for_nothing}
