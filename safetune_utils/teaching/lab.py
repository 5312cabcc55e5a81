"""Exercises as a notebook: a sheet to practise on, and a lab of which each laptop has its own rows.

A lab carries nbgrader's cell metadata (schema 3), so that nbgrader releases, collects and grades it.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import pandas as pd

from safetune_utils.errors import SafetuneError
from safetune_utils.teaching.exercises import Exercise, exercise, exercises, inputs_of
from safetune_utils.teaching.sealed import Solved, solved

if TYPE_CHECKING:
    import nbformat

POINTS = {1: 1, 2: 2, 3: 3}
# The exercises of a lab, unless others are named: those of plan B, a change pair by pair and the two kinds of
# error.
USUAL = ("change_in_harm", "precision_and_recall")
_KERNEL = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def stub(one: Exercise) -> str:
    """What a student begins with."""
    expected = "your expectation in place of None" + (": 0.25 stands for 25 %" if one.share else "")
    looks = [
        f'data["{name}"]' + (".head()" if isinstance(held, pd.DataFrame) else "")
        for name, held in inputs_of(one.given).items()
    ]
    return f"""import pandas as pd

from safetune_utils.teaching import check, given

data = given("{one.name}")  # look at {", ".join(looks)}


{one.signature}
    ...


print(check({one.name}, predicted=None))  # {expected}"""


def sheet(title: str, mine: list[Exercise]) -> nbformat.NotebookNode:
    """A chapter's exercises as a notebook, without solutions."""
    import nbformat

    cells = [nbformat.v4.new_markdown_cell(f"# Practice: {title}", id="title")]
    for one in mine:
        cells += [
            nbformat.v4.new_markdown_cell(task(one), id=f"{one.name}-task"),
            nbformat.v4.new_code_cell(stub(one), id=f"{one.name}-code"),
        ]
    return nbformat.v4.new_notebook(cells=cells, metadata=_KERNEL)


def task(one: Exercise) -> str:
    """An exercise's task as Markdown."""
    return f"## {one.title}\n\nAbout {one.minutes} minutes.\n\n**Predict.** {one.predict}\n\n{one.task}"


def check_names(names: list[str]) -> None:
    """Check that a lab can be made of some exercises.

    Raises:
        SafetuneError: there is no such exercise, or no solution, as in an installed wheel.
    """
    solutions = _by_name()
    for name in names:
        exercise(name)
        if name not in solutions:
            raise SafetuneError("the solutions are not in the installed package: make the lab in a clone")


def _by_name() -> dict[str, Solved]:
    return {one.solution.__name__: one for of_chapter in solved().values() for one in of_chapter}


def lab(names: list[str]) -> nbformat.NotebookNode:
    """The instructor's version of a lab, as nbgrader's ``source`` folder wants it: with solutions between its
    marks, and hidden tests that work out the right answer for each student's own rows.

    Args:
        names: the functions of its exercises. Their data must be tables, or every laptop has the same rows.

    Raises:
        SafetuneError: there is no such exercise, or no solution, as in an installed wheel.
    """
    import nbformat

    check_names(names)
    solutions = _by_name()
    cells = [
        _cell("markdown", "lab-title", _OPENING),
        nbformat.v4.new_code_cell("SEED = 0  # the number on your card, 1 to 30", id="lab-seed"),
    ]
    for name in names:
        one, answer = exercises()[name], solutions[name]
        cells += [
            _cell("markdown", f"{name}-task", task(one)),
            nbformat.v4.new_code_cell(
                f"{name}_predicted = ...  # BEFORE you run anything: what do you expect?",
                id=f"{name}-predict".replace("_", "-"),
            ),
            _cell("code", f"{name}-answer", _answer(one, answer), solution=True),
            nbformat.v4.new_code_cell(_number(one), id=f"{name}-number".replace("_", "-")),
            _cell("code", f"{name}-test", _test(one), grade=True, points=POINTS[one.difficulty]),
        ]
    cells.append(
        nbformat.v4.new_markdown_cell(
            "Your answer.",
            id="lab-discussion",
            metadata={"nbgrader": _about("lab-discussion", grade=True, solution=True, points=3)},
        )
    )
    cells.insert(
        -1,
        _cell(
            "markdown",
            "lab-question",
            "## Beside your neighbour\n\nCompare your numbers with those of the laptop beside you. Why do"
            " they differ, by how much, and what does that say of a figure that stands on one such sample?"
            " Five sentences.",
        ),
    )
    return nbformat.v4.new_notebook(cells=cells, metadata=_KERNEL)


_OPENING = """# Lab

Everyone has other rows of the same data: those that the number on your card draws. So your numbers are
your own, and so is the right answer. Write down what you expect before you run a cell; then write the
function. The checker says with a hint whether it is right, on the whole data; the number that is graded is
the one on your own rows. No network is needed."""


def _answer(one: Exercise, answer: Solved) -> str:
    # What the solution calls stands within it, so that one pair of nbgrader's marks takes all of it out.
    helpers = textwrap.indent("\n".join(answer.helpers()), "    ")
    return (
        "import pandas as pd\n\nfrom safetune_utils.teaching import check, given\n\n\n"
        f"{one.signature}\n    ### BEGIN SOLUTION\n{helpers}{answer.body()}\n    ### END SOLUTION\n\n\n"
        f"check({one.name}, predicted={one.name}_predicted)"
    )


def _number(one: Exercise) -> str:
    return f'{one.name}_number = {one.name}(**given("{one.name}", seed=SEED))\n{one.name}_number'


def _test(one: Exercise) -> str:
    return f"""assert 1 <= SEED <= 30, "set SEED to the number on your card"
assert {one.name}_predicted is not ..., "write down what you expect"
assert check({one.name}, predicted={one.name}_predicted).right
### BEGIN HIDDEN TESTS
from safetune_utils.teaching.lab import right_for

assert right_for("{one.name}", {one.name}_number, seed=SEED)
### END HIDDEN TESTS"""


def right_for(name: str, answer: Any, *, seed: int) -> bool:
    """Whether an answer is right for the rows that a student's seed draws.

    It needs the solutions, so it works where the teacher grades and not on a student's laptop.
    """
    from safetune_utils.teaching.exercises import given
    from safetune_utils.teaching.sealing import seals

    solutions = _by_name()
    right = solutions[name].solution(**given(name, seed=seed))
    return bool(set(seals(answer, of=name)) & set(seals(right, of=name)))


def _about(name: str, *, grade: bool = False, solution: bool = False, points: int = 0) -> dict[str, Any]:
    about: dict[str, Any] = {
        "grade": grade,
        "grade_id": name,
        "locked": not solution,
        "schema_version": 3,
        "solution": solution,
        "task": False,
    }
    return about | ({"points": points} if grade else {})


def _cell(
    kind: str, name: str, source: str, *, grade: bool = False, solution: bool = False, points: int = 0
) -> nbformat.NotebookNode:
    import nbformat

    make = nbformat.v4.new_markdown_cell if kind == "markdown" else nbformat.v4.new_code_cell
    metadata = {"nbgrader": _about(name, grade=grade, solution=solution, points=points)}
    return make(source, id=name.replace("_", "-")[:60], metadata=metadata)
