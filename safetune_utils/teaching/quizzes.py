"""The quizzes: five questions a chapter, each wrong option tied to a misconception that has a name.

A quiz is a YAML file of ``book/quizzes``. What stands in double braces is worked out from the tables behind
the chapter's figures, so that a book that is built anew does not teach an old number.
"""

from __future__ import annotations

import io
import math
import random
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import yaml
from jinja2 import StrictUndefined, UndefinedError
from jinja2.sandbox import SandboxedEnvironment

from safetune_utils import places
from safetune_utils.data.outputs import of_adapters
from safetune_utils.errors import SafetuneError
from safetune_utils.places import data_folder, repository_folder

# The run whose tables a quiz is made of where a chapter of the book at hand has not drawn its own.
PUBLISHED = "pocket"


class Option(NamedTuple):
    """An option of a question.

    Attributes:
        says: Markdown.
        right: whether it is the answer.
        mistake: the name of the misconception behind a wrong one; empty for the right one.
        because: what to say to whoever chose it.
    """

    says: str
    right: bool
    mistake: str
    because: str


class Question(NamedTuple):
    """A question with its options, in an order that a hash decides."""

    ask: str
    options: list[Option]


def misconceptions() -> dict[str, dict[str, str]]:
    """What people get wrong, by id: its ``name``, and what the quiz ``says``."""
    return _yaml("misconceptions.yml")


def _yaml(name: str) -> Any:
    return yaml.safe_load((repository_folder() / "book" / "quizzes" / name).read_text("utf-8"))


def published(chapter: str, run: str = PUBLISHED) -> dict[str, str]:
    """The tables behind a chapter's figures in a published run, as CSV by the figures' names."""
    folder = data_folder() / "results" / "published" / run
    return {
        path.stem.removeprefix(f"{chapter}-"): path.read_text("utf-8")
        for path in sorted(folder.glob(f"{chapter}-*.csv"))
    }


def quiz(chapter: str, tables: Mapping[str, str]) -> list[Question]:
    """The questions of a chapter.

    Args:
        chapter: the name of its notebook, such as ``01_safety_amount``.
        tables: CSV by the names of figures. A question that needs a row which is not in them is left out, and
            so is a wrong option that comes to the same as the right one; a question with fewer than two wrong
            ones left, too.

    Raises:
        SafetuneError: a wrong option names a misconception that there is not.
    """
    known, values = misconceptions(), _Values(tables)
    found = []
    for place, asked in enumerate(_yaml(f"{chapter}.yml"), start=1):
        unknown = [name for name in asked["wrong"] if name not in known]
        if unknown:
            raise SafetuneError(
                f"quiz of {chapter}, question {place}: no misconception is called '{unknown[0]}'"
            )
        try:
            options = [Option(values.filled(asked["right"]), True, "", values.filled(asked["because"]))]
            for name, says in asked["wrong"].items():
                says = values.filled(says)
                if says not in {option.says for option in options}:
                    options.append(Option(says, False, known[name]["name"], known[name]["says"]))
            question = values.filled(asked["ask"])
        except (LookupError, UndefinedError):
            continue
        if len(options) > 2:
            random.Random(f"{chapter} {place}").shuffle(options)
            found.append(Question(question, options))
    return found


class _Values:
    """What may stand in double braces."""

    def __init__(self, tables: Mapping[str, str]) -> None:
        self.tables = {name: of_adapters(pd.read_csv(io.StringIO(csv))) for name, csv in tables.items()}
        environment = SandboxedEnvironment(undefined=StrictUndefined, autoescape=False)
        # The column also names what is no amount, such as "untuned".
        columns = [table["n_safety"] for table in self.tables.values() if "n_safety" in table]
        numbers = [pd.to_numeric(column, errors="coerce").dropna() for column in columns]
        amounts = sorted({int(n) for column in numbers for n in column})
        environment.globals |= {
            "first": amounts[0] if amounts else 0,
            "last": amounts[-1] if amounts else 0,
            "value": self.value,
            "mean": lambda table, column, **where: self._rows(table, where)[column].mean(),
            "row": lambda table, column, place: self._rows(table, {})[column].iloc[place],
            "first_row": lambda table, column: self._rows(table, {})[column].iloc[0],
            "last_row": lambda table, column: self._rows(table, {})[column].iloc[-1],
            "total": lambda table, column: self._rows(table, {})[column].sum(),
            "n_of": lambda table, column: self._rows(table, {})[column].nunique(),
            "spread": lambda table, column, **where: np.ptp(self._rows(table, where)[column]),
            "n_rows": lambda table: len(self._rows(table, {})),
            "top": self.top,
            "pct": lambda share: f"{100 * share:.0f} %",
            "points": lambda share: f"{100 * share:.0f} points",
            "num": lambda number, digits: f"{number:.{digits}f}",
            "int": int,
            "abs": abs,
            "ceil": math.ceil,
            "spaced": lambda text: str(text).replace("_", " "),
            "results": _Results(),
        }
        self.environment = environment

    def filled(self, text: str) -> str:
        return self.environment.from_string(text).render()

    def _rows(self, table: str, where: Mapping[str, Any]) -> pd.DataFrame:
        rows = self.tables[table]
        # Of a run with several seeds, the rows of all together.
        if "seed" in rows and "seed" not in where and "all" in set(rows["seed"].astype(str)):
            rows = rows[rows["seed"].astype(str) == "all"]
        for column, wanted in where.items():
            held = rows[column] if isinstance(wanted, str) else pd.to_numeric(rows[column], errors="coerce")
            rows = rows[held == wanted]
        if not len(rows):
            raise LookupError(f"{table} has no row with {dict(where)}")
        return rows

    def value(self, table: str, column: str, **where: Any) -> float:
        """One cell of a table, by what its row holds."""
        return float(self._rows(table, where)[column].iloc[0])

    def top(self, table: str, name: str, by: str, **where: Any) -> str:
        """What stands in ``name`` in the row with the highest ``by``."""
        rows = self._rows(table, where)
        return str(rows[name].iloc[int(rows[by].to_numpy().argmax())])


class _Results:
    """``results.harmfulness.test`` and the like: what stands in ``data/results``."""

    def __getattr__(self, name: str) -> Any:
        return _results(name)


@cache
def _results(name: str) -> dict[str, Any]:
    return places.results(name)
