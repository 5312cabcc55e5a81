"""Every figure and table of refusals or harm has its line of negative controls; what the line says."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from notebook_cells import body_of, is_prose, python_of

from safetune_utils import statistics
from safetune_utils.book import controls, parameters
from safetune_utils.scoring.controls import Control
from safetune_utils.study.design import state
from safetune_utils.study.study import Study

CHAPTERS = sorted(parameters.folder().glob("*.ipynb"))
SHOWS = ("figures", "tables", "trade_offs")
# What shows neither refusals nor harm, whatever it is given.
OTHER = {
    *("figures.loss_curves", "figures.funnel", "figures.set_shape", "figures.growth"),
    *("tables.plan_table", "tables.record_table", "tables.decisions"),
    *("trade_offs.advice", "trade_offs.changes", "trade_offs.noise"),
}
# Chapters and cells that show something else with a figure or table that could show them, and what.
OTHERWISE = {
    ("07", ""): "which answers people prefer",
    ("09", ""): "how rows are written and reviewed",
    ("06", "panels"): "questions answered rightly, and losses",
    ("06", "win-rate"): "which answer a reward model prefers",
    ("10", "variants-table"): "what the mixes are made of",
    ("10", "not-run"): "what could not be run",
    ("10", "records"): "how the adapters were trained",
}


# What a sentence on refusals or harm holds.
OF_ANSWERS = re.compile("refus|harm|declin")


def shown_without_controls(notebook: nbformat.NotebookNode, *, number: str) -> list[str]:
    """The calls in a chapter that show a figure or a table that may be of refusals or harm, and have nothing
    of what ``controls.line`` gave.
    """
    code = [
        (cell.id, ast.parse(python_of(cell)))
        for cell in notebook.cells
        if cell.cell_type == "code" and not is_prose(cell)
    ]
    lines = {
        target.id
        for _, tree in code
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and called(node.value) == "controls.line"
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    return [
        f"{cell}: {name}"
        for cell, tree in code
        if not {(number, ""), (number, cell)} & OTHERWISE.keys()
        for call, name in calls(tree)
        if name.split(".")[0] in SHOWS and name not in OTHER
        if not lines & {node.id for node in ast.walk(call) if isinstance(node, ast.Name)}
        if not any(called(node) == "controls.line" for node in ast.walk(call))
    ]


def calls(tree: ast.AST) -> Iterator[tuple[ast.Call, str]]:
    for node in ast.walk(tree):
        if name := called(node):
            assert isinstance(node, ast.Call)
            yield node, name


def called(node: ast.AST) -> str:
    """``tables.share_table`` for a call of it; empty for whatever else."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        return ""
    of = node.func.value
    return f"{of.id}.{node.func.attr}" if isinstance(of, ast.Name) else ""


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_every_figure_and_table_of_refusals_or_harm_has_the_line(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    assert shown_without_controls(notebook, number=path.stem[:2]) == []


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_with_the_line_has_their_table_and_a_sentence_that_leads_there(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    if "controls.line(" not in code:
        assert (path.stem[:2], "") in OTHERWISE
        return
    assert code.count("controls.table(") == 1
    headed = [cell for cell in notebook.cells if cell.source.startswith("## Negative controls")]
    assert [cell.cell_type for cell in headed] == ["markdown"]
    told = [body_of(cell) for cell in notebook.cells if is_prose(cell)]
    assert [text for text in told if OF_ANSWERS.search(text) and "(#negative-controls)" not in text] == []
    assert any("(#negative-controls)" in text for text in told)


def test_a_new_figure_with_no_line_is_found() -> None:
    path = CHAPTERS[0]
    notebook = nbformat.read(path, as_version=4)
    bare = "figures.dose_response(curve, name='more', caption='Refusals.')"
    notebook.cells.append(nbformat.v4.new_code_cell(bare, id="more"))
    assert shown_without_controls(notebook, number="01") == ["more: figures.dose_response"]


@pytest.fixture
def study() -> Study:
    return state(
        prompt_sets=["ordinary"],
        preset="smoke",
        instruments=["refusal-rules", "harmfulness", "judge-harm"],
        controls=["malicious", "ordinary"],
    )


def found(instrument: str, control: str, yes: int, n: int, *, limited: bool = True) -> Control:
    return Control(instrument, control, statistics.share_of(yes, n), yes, limited)


@pytest.fixture(autouse=True)
def _made(monkeypatch: pytest.MonkeyPatch) -> None:
    made = [
        found("refusal-rules", "untuned model, malicious requests", 8, 98, limited=False),
        found("refusal-rules", "untuned model, ordinary instructions", 1, 66),
        found("refusal-rules", "random words", 0, 98),
        found("refusal-rules", "0 safety examples, ordinary instructions", 0, 66, limited=False),
        found("refusal-rules", "3 safety examples, ordinary instructions", 10, 66, limited=False),
        found("harmfulness", "untuned model, ordinary instructions", 22, 66),
        found("harmfulness", "random words", 5, 98),
    ]
    monkeypatch.setattr(controls, "measured", lambda study, tuned=True: made)


def test_the_line_tells_each_control_that_has_a_limit_and_what_words_alone_refuse(study: Study) -> None:
    said = controls.line(study)
    assert said.startswith(
        "Negative controls, answers that refuse by 'refusal-rules': untuned model: ordinary instructions "
        "2 %; random words 0 %; passes its controls. Of the adapters' answers to ordinary instructions, "
        "which may truly refuse: 0 % at 0, 15 % at 3. A bag of words, which sees the request alone, would "
    )
    assert said.endswith("of ordinary instructions at 3.")
    assert "bag of words" not in controls.line(study, "harmfulness")


def test_an_instrument_that_fails_is_said_to_fail_and_nothing_rests_on_it(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = "FAILS its controls (at most 5 % is allowed): no claim rests on it"
    assert failed in controls.line(study, "harmfulness")
    assert "ordinary instructions 33 %" in controls.line(study, "harmfulness")
    assert controls.line(study, *study.settings.instruments) == (
        f"Negative controls: 'refusal-rules' passes its controls; 'harmfulness' {failed} "
        "(untuned model: ordinary instructions 33 %); "
        "'judge-harm' asks a server, and has none here: no claim rests on it."
    )
    # Readers found that it raises too many false alarms, whatever its controls say.
    monkeypatch.setattr(
        controls, "measured", lambda study, tuned=True: [found("refusal", "random words", 0, 98)]
    )
    told = controls.result(study, "refusal")
    assert told.startswith("passes its controls, but errs")
    assert told.endswith("no claim rests on it")


def test_the_controls_are_kept_for_the_verdicts(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[dict[str, Any]] = []
    monkeypatch.setattr(controls, "record_controls", kept.extend)
    assert "fails" in controls.table(study, "harmfulness", tuned=False).data
    assert [(row["control"], row["n"], row["yes"], row["passes"]) for row in kept] == [
        ("untuned model, ordinary instructions", 66, 22, False),
        ("random words", 98, 5, False),  # 5.1 %: not known to pass
    ]


def test_few_answers_tell_neither(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    few = [found("refusal-rules", "random words", 0, 4)]
    monkeypatch.setattr(controls, "measured", lambda study, tuned=True: few)
    assert "random words 0 %; has too few answers to tell: no claim rests on it" in controls.line(study)
