"""Chapters state their studies before any of them is executed."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from safetune_utils import places
from safetune_utils.book import parameters, stating


def given_to(path: Path) -> parameters.Given:
    return parameters.own_part(path, {"preset": "smoke"})


def test_every_chapter_with_a_study_states_it_and_makes_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    chapters = sorted(parameters.folder().glob("*.ipynb"))
    with_a_study = [path for path in chapters if parameters.schema_of(path) == "study"]
    for path in with_a_study:
        assert stating.studies_of([(path, given_to(path))]), path.stem
    found = stating.studies_of([(path, given_to(path)) for path in chapters])
    assert len(found) >= len(with_a_study) == 9
    assert all(study.settings.preset == "smoke" for study in found)
    made = (
        {path.name for path in places.store_folder().iterdir()} if places.store_folder().is_dir() else set()
    )
    assert not made & {"adapters", "responses", "scores", "notebooks"}
    assert capfd.readouterr().out == ""


def test_a_notebook_that_fails_on_the_way_states_nothing(tmp_path: Path) -> None:
    source = parameters.find("02")
    notebook = nbformat.read(source, as_version=4)
    first = next(place for place, cell in enumerate(notebook.cells) if cell.cell_type == "code")
    notebook.cells.insert(first + 1, nbformat.v4.new_code_cell("raise RuntimeError('on the way')"))
    nbformat.write(notebook, tmp_path / source.name)
    chapters = [(tmp_path / source.name, given_to(source)), (source, given_to(source))]
    assert len(stating.studies_of(chapters)) == 1


def test_a_study_is_stated_and_its_chapter_s_modules_are_imported_without_pytorch() -> None:
    """Importing it takes most of the time of a chapter whose adapters, responses and scores are all made."""
    imports = set()
    for path in sorted(parameters.folder().glob("*.ipynb")):
        if parameters.schema_of(path) == "study":
            cells = [c.source for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
            tree = ast.parse("\n".join(line for cell in cells for line in _plain(cell)))
            imports |= {
                ast.unparse(node) for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)
            }
    stated = 'from safetune_utils.study.design import state; state(prompt_sets=["ordinary"], preset="smoke")'
    loaded = 'import sys; print([n for n in ("torch", "transformers", "peft") if n in sys.modules])'
    script = "\n".join([*sorted(imports), stated, loaded])
    assert subprocess.check_output([sys.executable, "-c", script], text=True).strip() == "[]"


def _plain(cell: str) -> list[str]:
    """The lines of a cell that are Python."""
    return [] if cell.startswith("%%") else [line for line in cell.split("\n") if not line.startswith("%")]
