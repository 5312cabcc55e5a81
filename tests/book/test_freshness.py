"""A page is stale when what it was made from has changed."""

from __future__ import annotations

import shutil
from pathlib import Path

import nbformat
import pytest
from estimates import share
from executed_copy import executed
from notebook_cells import write_notebook

from safetune_utils.book import chapter_page, chapters, freshness, notebooks, parameters, provenance
from safetune_utils.places import data_folder
from safetune_utils.study import stages
from safetune_utils.study.design import state

CHAPTER = chapters.Chapter("01_safety_amount", "01", "How much?", (), (), (), "")


def test_a_page_is_stale_when_its_notebook_the_package_or_the_data_changed(
    copy: Path, source: Path, tmp_path: Path
) -> None:
    assert freshness.changes(source, copy) == []
    edited = tmp_path / source.name
    edited.write_text(source.read_text("utf-8").replace("How much", "How little"), "utf-8")
    assert freshness.changes(edited, copy) == ["the notebook"]
    notebook = nbformat.read(copy, as_version=4)
    notebook.metadata.safetune.made_from.code["study/stages.py"] = "another"
    notebook.metadata.safetune.made_from.files["data/corpus/safety.jsonl"] = "another"
    nbformat.write(notebook, copy)
    changes = freshness.changes(source, copy)
    assert changes == ["study/stages.py", "data/corpus/safety.jsonl"]
    stale = chapter_page.page(copy, chapter=CHAPTER, changes=changes).cells[0].source
    assert "safetune-stale" in stale
    assert "study/stages.py, data/corpus/safety.jsonl" in stale


def test_a_copy_without_a_record_is_never_taken_for_fresh(tmp_path: Path, source: Path) -> None:
    copy = executed(tmp_path, source, malicious=share(0.5, 0.4, 0.6), recorded=False)
    assert freshness.changes(source, copy)
    assert "no record" in chapter_page.page(copy, chapter=CHAPTER).cells[-1].source


READING = """
from safetune_utils.book import figures
from safetune_utils.data import contrast_examples, general_examples
from safetune_utils.machine.processes import in_subprocess

assert contrast_examples() and in_subprocess(general_examples, "embedded")
"""


def in_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(data_folder(), tmp_path / "book" / "data")
    monkeypatch.setenv("SAFETUNE_DATA", str(tmp_path / "book" / "data"))
    return tmp_path / "book" / "data"


@pytest.mark.slow
def test_a_page_is_made_from_what_its_notebook_read_wherever_it_read_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = in_a_copy(tmp_path, monkeypatch)
    path = write_notebook(tmp_path / "nb.ipynb", READING)
    assert not freshness.is_fresh(path, given={})
    made = notebooks.executed(path, given={})
    files = provenance.provenance(made)["made_from"]["files"]
    assert {"data/corpus/contrast.jsonl", "data/corpus/general.jsonl"} <= files.keys()
    assert not [name for name in files if name.startswith("data/results")]
    # A bench that is measured anew, a run that is published: nothing that it read.
    for name in ("results/finetune_speed.json", "results/published/pocket.json", "paper/claims.yml"):
        (there / name).write_text("{}")
    assert freshness.is_fresh(path, given={})
    with (there / "corpus" / "contrast.jsonl").open("a") as file:
        file.write("\n")
    assert freshness.changes(path, made) == ["data/corpus/contrast.jsonl"]
    assert not freshness.is_fresh(path, given={})
    assert notebooks.executed(path, given={}) == made  # the same place, made again
    assert freshness.is_fresh(path, given={})


def test_a_page_is_made_from_the_code_that_its_notebook_imports(tmp_path: Path) -> None:
    def code(*sources: str) -> set[str]:
        return set(freshness.inputs(write_notebook(tmp_path / "nb.ipynb", *sources), {})["code"])

    assert code("1") == set()
    store_alone = code("from safetune_utils import store")
    assert {"__init__.py", "store.py", "places.py", "machine/surroundings.py"} <= store_alone
    assert not [name for name in store_alone if name.startswith(("study", "book", "scoring"))]
    assert "book/folds.py" in code("%load_ext safetune_utils.book.folds")
    assert "scoring/rubrics/harm.md" in code("def later():\n    import safetune_utils.scoring.judge")


@pytest.mark.parametrize("path", sorted(parameters.folder().glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_word_in_a_module_that_draws_pages_or_speaks_to_the_user_executes_nothing_anew(path: Path) -> None:
    code = freshness.inputs(path, {})["code"]
    assert {"study/stages.py", "statistics/shares.py", "book/figures/figure.py"} & code.keys()
    for name in code:
        assert not name.startswith(("cli/", "doctor", "book/generated/", "book/site", "book/compare"))


def test_a_changed_figure_draws_anew_and_trains_nothing_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page is stale, and the adapter's name stays: no code is part of it."""
    path = parameters.find("01")
    study = state(prompt_sets=["malicious"], preset="smoke")
    before = stages.adapter_folder(study, study.runs[0], make=False)
    stage = freshness.stage_of(path, {})
    unchanged = freshness.store.known_hash
    monkeypatch.setattr(
        freshness.store, "known_hash", lambda p: "another" if p.name == "figure.py" else unchanged(p)
    )
    assert freshness.stage_of(path, {}) != stage
    again = state(prompt_sets=["malicious"], preset="smoke")
    assert stages.adapter_folder(again, again.runs[0], make=False) == before


def test_an_executed_copy_is_another_one_when_what_it_read_has_changed(tmp_path: Path) -> None:
    path = write_notebook(tmp_path / "nb.ipynb", "1")
    (tmp_path / "own").mkdir()
    own = tmp_path / "own" / "general.jsonl"
    own.write_text('{"instruction": "a", "output": "b"}\n')
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[0].source += f'\ndata: str = "{tmp_path / "own"}"  # data'
    nbformat.write(notebook, path)
    first = freshness.stage_of(path, {})
    assert freshness.stage_of(path, {}) == first
    assert freshness.stage_of(path, {"preset": "pocket"}) != first
    own.write_text('{"instruction": "a", "output": "c"}\n')
    assert freshness.stage_of(path, {}) != first
