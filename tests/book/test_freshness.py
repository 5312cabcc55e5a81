"""A page is stale when what it was made from has changed."""

from __future__ import annotations

from pathlib import Path

import nbformat
from estimates import share
from executed_copy import executed
from notebook_cells import write_notebook

from safetune_utils.book import freshness, provenance


def test_a_page_is_stale_when_its_notebook_the_package_or_the_data_changed(
    copy: Path, source: Path, tmp_path: Path
) -> None:
    assert freshness.changes(source, copy) == []
    edited = tmp_path / source.name
    edited.write_text(source.read_text("utf-8").replace("How much", "How little"), "utf-8")
    assert freshness.changes(edited, copy) == ["the notebook"]
    notebook = nbformat.read(copy, as_version=4)
    notebook.metadata.safetune.made_from.code["study/stages.py"] = "another"
    del notebook.metadata.safetune.made_from.files["data/corpus/safety.jsonl"]
    nbformat.write(notebook, copy)
    changes = freshness.changes(source, copy)
    assert changes == ["study/stages.py", "data/corpus/safety.jsonl"]
    stale = provenance.page(copy, changes=changes).cells[1].source
    assert "safetune-stale" in stale
    assert "study/stages.py, data/corpus/safety.jsonl" in stale


def test_a_copy_without_a_record_is_never_taken_for_fresh(tmp_path: Path, source: Path) -> None:
    copy = executed(tmp_path, source, malicious=share(0.5, 0.4, 0.6), recorded=False)
    assert freshness.changes(source, copy)
    assert "no record" in provenance.page(copy, changes=[]).cells[-1].source


def test_publishing_makes_no_page_stale(source: Path) -> None:
    assert not [
        name
        for name in freshness.inputs(source, {})["files"]
        if name.startswith("data/results/published") or name == "data/paper/claims.yml"
    ]


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
