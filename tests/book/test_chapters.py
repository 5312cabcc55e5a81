"""What chapters say of themselves, and where it is read."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
import yaml

from safetune_utils.book import chapters, parameters, verdicts
from safetune_utils.errors import SafetuneError
from safetune_utils.places import data_folder


def write(folder: Path, name: str, *, heading: str = "# A title", **about: list[str] | str) -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(heading)])
    notebook.metadata["safetune"] = {"schema": "study"} | about
    nbformat.write(notebook, folder / f"{name}.ipynb")


def test_a_chapter_says_its_number_title_figures_and_claims(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parameters, "folder", lambda: tmp_path)
    write(tmp_path, "02_b", figures=["f"], figures_sometimes=["g"], claims=["c"], headline="{{ x }}.")
    write(tmp_path, "01_a", heading="# How?\n\nText.")
    first, second = chapters.chapters()
    assert first == ("01_a", "01", "How?", (), (), (), "")
    assert second == ("02_b", "02", "A title", ("f",), ("g",), ("c",), "{{ x }}.")
    write(tmp_path, "03_c", claims=["c"])
    with pytest.raises(SafetuneError, match="a finding about 'c': leave it to one"):
        chapters.chapters()
    write(tmp_path, "03_c", heading="No title")
    with pytest.raises(SafetuneError, match=r"03_c\.ipynb has no title"):
        chapters.chapters()


def test_every_claim_has_its_chapter_and_no_chapter_a_claim_that_is_not_listed() -> None:
    said = [claim for chapter in chapters.chapters() for claim in chapter.claims]
    assert sorted(said) == sorted(claim.id for claim in verdicts.claims())


def test_the_table_of_contents_takes_whatever_notebooks_there_are() -> None:
    toc = yaml.safe_load((data_folder().parent / "_toc.yml").read_text("utf-8"))
    entries = [entry for part in toc["parts"] for entry in part["chapters"]]
    assert [entry for entry in entries if "notebooks" in str(entry)] == [{"glob": "notebooks/*"}]
