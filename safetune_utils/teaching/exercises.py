"""The exercises as a student has them, and their checkers.

What stands here knows no solution. A file of ``book/exercises`` is made from one of ``book/solutions``
by :mod:`safetune_utils.teaching.sealed`: the text, and seals of the right answer and of the answers
that wrong methods give, each with its hint.
"""

from __future__ import annotations

import inspect
import math
import numbers
import traceback
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import yaml

from safetune_utils import strict_json
from safetune_utils.data.outputs import of_adapters
from safetune_utils.errors import SafetuneError, did_you_mean
from safetune_utils.places import data_folder, repository_folder
from safetune_utils.teaching.sealing import NotAnAnswerError, seals

# The rows that a checker puts to a function besides the page's own: so many of them, drawn by this seed.
SHARE_DRAWN = 0.7
ANOTHER_SEED = 1

Inputs = dict[str, Any]
# ``set``, cells by their columns; ``where``, what a row holds in which they are set.
Change = dict[str, dict[str, Any]]


class Hint(NamedTuple):
    """What is said of a wrong answer.

    Attributes:
        mistake: the mistake in a few words.
        says: the hint.
        seals: of what it answers, one list for each of the inputs that an exercise is checked on.
    """

    mistake: str
    says: str
    seals: list[list[str]]


class Exercise(NamedTuple):
    """An exercise without its solution.

    Attributes:
        chapter: the name of the chapter's notebook, such as ``01_safety_amount``.
        name: of the function to write.
        signature: its first line.
        task: what it is to do, in Markdown.
        title: in a few words.
        difficulty: 1 to 3, 3 is hardest.
        minutes: that it takes about.
        predict: what to write down before anything is run.
        given: for each of its arguments, a file below ``data/``; what stands behind a ``#`` is a part of it.
        again: other files to check it on, for those arguments; empty: the first ones are enough; ``None``: a
            part of their rows.
        changes: what is changed in those other data, by argument, so that two methods that come to the same
            on the page do not there; see :func:`changed`.
        share: whether the answer is a share or a change of one, so that 0.25 stands for 25 %.
        right: the seals of the right answer, one list for each of the inputs that it is checked on.
        hints: for the answers of wrong methods, in the order in which they are tried.
    """

    chapter: str
    name: str
    signature: str
    task: str
    title: str
    difficulty: int
    minutes: int
    predict: str
    given: dict[str, str]
    again: dict[str, str] | None
    changes: dict[str, list[Change]]
    share: bool
    right: list[list[str]]
    hints: list[Hint]


class Checked(NamedTuple):
    """What a checker says.

    Attributes:
        right: whether the function is right.
        says: a sentence or two, in plain text.
    """

    right: bool
    says: str

    def __repr__(self) -> str:
        return self.says


def exercises() -> dict[str, Exercise]:
    """All exercises by the names of their functions, in the order of the chapters."""
    return _exercises(repository_folder() / "book" / "exercises")


@cache
def _exercises(folder: Path) -> dict[str, Exercise]:
    found = {}
    for path in sorted(folder.glob("*.json")):
        for one in strict_json.read(path, mend="take this file from the repository again")["exercises"]:
            hints = [Hint(**hint) for hint in one.pop("hints")]
            found[one["name"]] = Exercise(chapter=path.stem, **one, hints=hints)
    return found


def of_chapter(chapter: str) -> list[Exercise]:
    """The exercises of a chapter, by the name of its notebook."""
    return [one for one in exercises().values() if one.chapter == chapter]


def exercise(name: str) -> Exercise:
    """An exercise by the name of its function.

    Raises:
        SafetuneError: there is none of that name.
    """
    known = exercises()
    if name not in known:
        mend = did_you_mean(name, list(known), otherwise="choose from")
        raise SafetuneError(f"no exercise asks for a function '{name}': {mend}")
    return known[name]


def given(name: str, *, seed: int | None = None) -> Inputs:
    """What the function of an exercise is given, by the names of its arguments.

    Args:
        name: of the function.
        seed: draw a part of the rows by it, such as one for each student; ``None`` gives all rows.

    Raises:
        SafetuneError: there is no such exercise, or its files are not there.
    """
    return inputs_of(exercise(name).given, seed=seed)


def inputs_of(files: dict[str, str], *, seed: int | None = None) -> Inputs:
    """What files hold, by the names of arguments; see :func:`given`."""
    return _drawn_apart({argument: _read(file) for argument, file in files.items()}, seed)


def _drawn_apart(inputs: Inputs, seed: int | None) -> Inputs:
    """A part of each table, drawn apart: where two tables are about the same things, what stands in one row
    of each need not be about the same one."""
    return {
        name: drawn(data, None if seed is None else seed + place)
        for place, (name, data) in enumerate(inputs.items())
    }


def drawn(data: Any, seed: int | None) -> Any:
    """A part of a table's rows, in their order; what is no table stays as it is."""
    if seed is None or not isinstance(data, pd.DataFrame):
        return data
    return data.sample(frac=SHARE_DRAWN, random_state=seed).sort_index().reset_index(drop=True)


def _read(file: str) -> Any:
    """A file below ``data/``: a table, or for JSON and YAML what they hold, a list of rows as a table."""
    name, _, part = file.partition("#")
    path = data_folder() / name
    if not path.is_file():
        raise SafetuneError(f"data/{name} is not there: take it from the repository again")
    if path.suffix == ".csv":
        return of_adapters(pd.read_csv(path))
    if path.suffix == ".jsonl":
        return pd.read_json(path, lines=True)
    data = strict_json.read(path, mend="take it again") if path.suffix == ".json" else _yaml(path)
    for key in filter(None, part.split("/")):
        data = data[key]
    return pd.DataFrame(data) if isinstance(data, list) else data


def _yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text("utf-8"))


def cases(one: Exercise) -> list[Inputs]:
    """The inputs that an exercise is checked on: the page's own, and others, so that no number of the page
    is right by being written down."""
    own = inputs_of(one.given)
    if one.again == {} and not one.changes:
        return [own]
    other = _drawn_apart(own, ANOTHER_SEED) if one.again is None else own | inputs_of(one.again)
    return [own, {name: changed(data, one.changes.get(name, [])) for name, data in other.items()}]


def changed(data: Any, changes: list[Change]) -> Any:
    """A table with other cells in the rows that hold what is said, one change after another; or a dict with
    other entries."""
    if not isinstance(data, pd.DataFrame):
        return (
            data | {key: value for one in changes for key, value in one["set"].items()} if changes else data
        )
    data = data.copy()
    for one in changes:
        rows = pd.Series(True, index=data.index)
        for column, held in one.get("where", {}).items():
            rows &= data[column] == held
        for column, value in one["set"].items():
            data.loc[rows, column] = value
    return data


def check(function: Callable[..., Any], *, predicted: Any) -> Checked:
    """Try a function that was written for the exercise of its name.

    Args:
        function: the answer.
        predicted: what you expected it to give, written down before it was run: a number, or words.

    Returns:
        Whether it is right, and what to say: a hint where it is not.

    Raises:
        SafetuneError: no exercise has a function of that name, or nothing was predicted, or per cent where a
            share is asked for.
    """
    one = exercise(function.__name__)
    if predicted is None or predicted == "":
        raise SafetuneError("write down what you expect first: check(…, predicted=0.5), a number or words")
    if one.share and isinstance(predicted, numbers.Real) and abs(float(predicted)) > 1:
        raise SafetuneError(
            "this answer is a share, and none is above 1:"
            f" for {predicted} % write predicted={float(predicted) / 100:g}"
        )
    answers = []
    for place, inputs in enumerate(cases(one)):
        told = _called(function, one, inputs)
        if isinstance(told, Checked):
            other = "With this page's data it runs. With other data of the same form: " if place else ""
            return Checked(False, other + told.says)
        answers.append(told[0])
    checked = judged(one, answers)
    if not checked.right:
        return checked
    return Checked(True, f"Right. You expected {predicted}; with this page's data it is {shown(answers[0])}.")


def _called(function: Callable[..., Any], one: Exercise, inputs: Inputs) -> Checked | tuple[Any]:
    """What a function answers, in a tuple; or what is wrong with it before its answer is looked at."""
    wanted = list(one.given)
    if list(inspect.signature(function).parameters) != wanted:
        return Checked(False, f"The function takes {', '.join(wanted)}, in this order: {one.signature}")
    copies = {
        name: data.copy(deep=True) if isinstance(data, pd.DataFrame) else data
        for name, data in inputs.items()
    }
    try:
        answer = function(**copies)
    except Exception as error:
        # Where it stopped, in the student's own lines.
        last = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in last if frame.name == function.__name__] or last
        return Checked(
            False, f"It stopped at line {own[-1].lineno} ({own[-1].line}): {type(error).__name__}: {error}"
        )
    if answer is None:
        return Checked(False, "Nothing came back: end the function with return and what it found.")
    if isinstance(answer, float) and math.isnan(answer):
        return Checked(
            False,
            "It gives nan, which is the mean of no rows: does any row hold all that you ask for? In a table"
            ' the number 200 and the text "200" are not the same. Look at the codes with'
            ' answers["column"].unique(), with the names of your table and column.',
        )
    try:
        seals(answer, of="")
    except NotAnAnswerError as error:
        return Checked(
            False, f"A {error} came back. The task asks for: {one.signature.rpartition('->')[2].strip(' :')}."
        )
    return (answer,)


def judged(one: Exercise, answers: list[Any]) -> Checked:
    """What is said of the answers to the inputs of :func:`cases`, in their order."""

    def matches(wanted: list[list[str]], scaled: Callable[[Any], Any] = lambda a: a) -> list[bool]:
        return [
            bool(set(seals(scaled(answer), of=f"{one.name} {place}")) & set(wanted[place]))
            for place, answer in enumerate(answers)
        ]

    right = matches(one.right)
    if all(right):
        return Checked(True, "Right.")
    # On one table two methods may come to the same: a mistake that gives all the answers goes first.
    hints = [(hint, matches(hint.seals)) for hint in one.hints]
    for hint, found in hints:
        if all(found):
            return Checked(False, f"Not yet: {hint.mistake}. {hint.says}")
    if right[0]:
        return Checked(
            False,
            "Right for the data of this page, but wrong for other data of the same form: is something of this"
            " page, such as a number of rows, written into the function?",
        )
    for hint, found in hints:
        if found[0]:
            return Checked(False, f"Not yet: {hint.mistake}. {hint.says}")
    for scale, says in (
        (0.01, "it is a hundred times too large: a share lies between 0 and 1."),
        (100, "it is a hundred times too small: per cent are asked for."),
        (-1, "its size is right and its sign is not: which of the two is taken from which?"),
    ):
        if matches(one.right, lambda answer, by=scale: _times(answer, by))[0]:  # type: ignore[misc]
            return Checked(False, f"Not yet: {says}")
    return Checked(
        False,
        f"Not yet, and it is none of the mistakes that this checker knows. It gives {shown(answers[0])}."
        " Work out by hand what it should give for three rows, give it those, and compare.",
    )


def _times(answer: Any, scale: float) -> Any:
    """An answer with all its numbers multiplied."""
    if isinstance(answer, pd.Series):
        answer = answer.to_dict()
    if isinstance(answer, dict):
        return {key: _times(value, scale) for key, value in answer.items()}
    if isinstance(answer, (list, tuple)):
        return [_times(one, scale) for one in answer]
    return answer if isinstance(answer, (str, bool, set, frozenset)) else answer * scale


def shown(answer: Any) -> str:
    """An answer as a sentence shows it: numbers with four digits, long ones cut."""
    if isinstance(answer, pd.Series):
        answer = answer.to_dict()
    if isinstance(answer, dict):
        text = ", ".join(f"{key}: {shown(value)}" for key, value in answer.items())
    elif isinstance(answer, (list, tuple, set, frozenset)):
        found = sorted(answer) if isinstance(answer, (set, frozenset)) else answer
        text = "(" + ", ".join(map(shown, found)) + ")"
    elif isinstance(answer, (str, bool)):
        text = str(answer)
    else:
        text = f"{float(answer):.4f}".rstrip("0").rstrip(".")
    return text if len(text) <= 200 else text[:200] + " …"
