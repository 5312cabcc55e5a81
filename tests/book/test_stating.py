"""Chapters state their studies before any of them is executed."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from subprocess_work import killed

from safetune_utils import places
from safetune_utils.book import parameters, stating
from safetune_utils.errors import SafetuneError
from safetune_utils.scoring import train
from safetune_utils.scoring.instruments import at_hand


def given_to(path: Path) -> parameters.Given:
    return parameters.own_part(path, {"preset": "smoke"})


def has_study(path: Path) -> bool:
    return parameters.schema_of(path) == "study"


def test_every_chapter_with_a_study_states_it_and_makes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    chapters = sorted(parameters.folder().glob("*.ipynb"))
    stated = {path.stem: stating._stated([(path, given_to(path))]) for path in chapters if has_study(path)}
    assert len(stated) == 9
    assert all(stated.values())
    assert all(study.settings.preset == "smoke" for found in stated.values() for study in found)
    made = (
        {path.name for path in places.store_folder().iterdir()} if places.store_folder().is_dir() else set()
    )
    assert not made & {"base_losses", "adapters", "responses", "scores", "notebooks"}
    assert capsys.readouterr().out == ""


def test_the_chapter_on_instruments_asks_most_of_them_about_malicious_requests_alone() -> None:
    """Only there are their scores shown."""
    path = parameters.find("08")
    asked = {
        (name, one)
        for study in stating._stated([(path, given_to(path))])
        for name in study.prompt_sets
        for one in study.settings.instruments
    }
    everywhere = {
        (name, one) for name in ("lookalikes_safe", "ordinary") for one in ("refusal-rules", "coherence")
    }
    assert asked == {("malicious", one) for one in at_hand()} | everywhere


@pytest.mark.usefixtures("mirror")
def test_a_small_model_that_a_chapter_trains_is_a_piece_of_work_until_it_is_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chapters = [(path, given_to(path)) for path in sorted(parameters.folder().glob("*.ipynb"))]
    (piece,) = stating.trials_of(chapters)
    monkeypatch.setattr(train, "_compared", lambda *_, **__: [])
    piece.work(*piece.arguments)
    assert stating.trials_of(chapters) == []


def test_a_small_model_without_rows_to_train_on_is_no_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAFETUNE_MIRROR", str(tmp_path))
    assert stating.trials_of([(parameters.find("11"), given_to(parameters.find("11")))]) == []


def test_a_notebook_that_fails_on_the_way_states_nothing(tmp_path: Path) -> None:
    source = parameters.find("02")
    notebook = nbformat.read(source, as_version=4)
    first = next(place for place, cell in enumerate(notebook.cells) if cell.cell_type == "code")
    notebook.cells.insert(first + 1, nbformat.v4.new_code_cell("raise RuntimeError('on the way')"))
    nbformat.write(notebook, tmp_path / source.name)
    chapters = [(tmp_path / source.name, given_to(source)), (source, given_to(source))]
    assert len(stating.studies_of(chapters)) == 1


def test_a_study_that_cannot_be_had_is_told_before_any_chapter_is_run() -> None:
    chapters = [(path, given_to(path)) for path in (parameters.find("01"), parameters.find("05"))]
    chapters[1][1]["safety_amounts"] = [0, 9000]
    with pytest.raises(SafetuneError, match=r"^05_topics: .*this data has 275 safety rows"):
        stating.studies_of(chapters)


def test_the_death_of_the_process_that_states_studies_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stating, "_stated", killed)
    with pytest.raises(SafetuneError, match="was killed, most likely for want of memory"):
        stating.studies_of([(parameters.find("01"), given_to(parameters.find("01")))])


def test_a_study_is_stated_and_its_chapter_s_modules_are_imported_without_what_takes_seconds() -> None:
    """Importing it takes most of the time of a chapter whose adapters, responses and scores are all made."""
    imports = set()
    for path in sorted(parameters.folder().glob("*.ipynb")):
        if has_study(path):
            cells = [c.source for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
            tree = ast.parse("\n".join(line for cell in cells for line in _plain(cell)))
            imports |= {
                ast.unparse(node) for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)
            }
    stated = (
        "from safetune_utils.study.design import state; from safetune_utils.study.plan import plan;"
        ' plan(state(prompt_sets=["ordinary"], preset="smoke", precision="fp32"))'
    )
    slow = ["torch", "transformers", "peft", "matplotlib", "bs4"]
    loaded = f"import sys; print([name for name in {slow} if name in sys.modules])"
    script = "\n".join([*sorted(imports), stated, loaded])
    assert subprocess.check_output([sys.executable, "-c", script], text=True).strip() == "[]"


def _plain(cell: str) -> list[str]:
    """The lines of a cell that are Python."""
    return [] if cell.startswith("%%") else [line for line in cell.split("\n") if not line.startswith("%")]
