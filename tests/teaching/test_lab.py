"""The lab: nbgrader's form, each student's own right answer, and no solution once its marks are taken out."""

from __future__ import annotations

import re
from typing import Any

import nbformat
import pytest

from safetune_utils.errors import SafetuneError
from safetune_utils.teaching import lab
from safetune_utils.teaching.exercises import exercises, given
from safetune_utils.teaching.sealed import solved
from safetune_utils.teaching.sealing import plain

ALL = list(exercises())


def released(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """What nbgrader's `generate_assignment` makes of an instructor's version: its marks and what is
    between go."""
    copy = nbformat.from_dict(notebook)
    for cell in copy.cells:
        cell.source = re.sub(
            r"^( *)### BEGIN SOLUTION\n.*?### END SOLUTION",
            r"\1raise NotImplementedError()",
            cell.source,
            flags=re.MULTILINE | re.DOTALL,
        )
        cell.source = re.sub(
            r"### BEGIN HIDDEN TESTS\n.*?### END HIDDEN TESTS", "", cell.source, flags=re.DOTALL
        )
    return copy


def run(
    notebook: nbformat.NotebookNode, *, seed: int, changes: dict[str, str] | None = None
) -> dict[str, Any]:
    names: dict[str, Any] = {}
    for cell in notebook.cells:
        if cell.cell_type == "code":
            source = cell.source.replace("SEED = 0", f"SEED = {seed}").replace(
                "_predicted = ...", "_predicted = 1"
            )
            for old, new in (changes or {}).items():
                source = source.replace(old, new)
            exec(source, names)
    return names


def test_it_is_a_notebook_of_nbgrader_s_form() -> None:
    notebook = lab.lab(list(lab.USUAL))
    nbformat.validate(notebook)
    about = [cell.metadata["nbgrader"] for cell in notebook.cells if "nbgrader" in cell.metadata]
    assert {one["schema_version"] for one in about} == {3}
    assert len({one["grade_id"] for one in about}) == len(about)
    tests = [one for one in about if one["grade"] and not one["solution"]]
    assert len(tests) == len(lab.USUAL)
    assert all(one["points"] > 0 and one["locked"] for one in tests)


def test_the_instructor_s_version_passes_for_every_card() -> None:
    notebook = lab.lab(list(lab.USUAL))
    numbers = [run(notebook, seed=seed)["change_in_harm_number"] for seed in (1, 2, 30)]
    assert len(set(numbers)) == 3


def test_no_two_of_thirty_cards_have_the_same_answers() -> None:
    solutions = {one.solution.__name__: one.solution for found in solved().values() for one in found}
    answers = {
        str([plain(solutions[name](**given(name, seed=seed))) for name in lab.USUAL]) for seed in range(1, 31)
    }
    assert len(answers) == 30


def test_a_neighbour_s_number_is_not_right() -> None:
    notebook = lab.lab(["share_refused"])
    own = 'given("share_refused", seed=SEED)'
    copied = {f"_number = share_refused(**{own})": f"_number = share_refused(**{own.replace('SEED', '2')})"}
    with pytest.raises(AssertionError):
        run(notebook, seed=1, changes=copied)
    with pytest.raises(AssertionError, match="the number on your card"):
        run(notebook, seed=0)


def test_what_students_get_holds_no_solution() -> None:
    text = nbformat.writes(released(lab.lab(ALL)))
    for found in solved().values():
        for one in found:
            lines = [line.strip() for line in one.body().splitlines() if line.strip().startswith("return ")]
            assert lines
            assert not [line for line in lines if line in text.replace('\\"', '"')]
    assert "right_for" not in text


def test_a_lab_of_an_exercise_that_there_is_not_is_told() -> None:
    with pytest.raises(SafetuneError, match="share_refused"):
        lab.lab(["share_refuse"])
