"""The site is put together from executed copies, and only where something changed."""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from estimates import share
from executed_copy import executed

from safetune_utils.book import freshness, notebooks, parameters, pdf, site, stating
from safetune_utils.book.generated import data_cards
from safetune_utils.errors import SafetuneError
from safetune_utils.machine.processes import Piece

SHARE = share(0.5, 0.4, 0.6)


@pytest.fixture
def copies(tmp_path: Path, source: Path) -> Path:
    """An executed copy of every notebook: chapter 1 with a figure and numbers, the others with nothing."""
    folder = tmp_path / "copies"
    executed(folder, source, malicious=SHARE)
    for path in parameters.folder().glob("*.ipynb"):
        if path.name != source.name:
            cells = [nbformat.v4.new_markdown_cell("# T"), nbformat.v4.new_code_cell("1")]
            nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / path.name)
    return folder


@pytest.fixture
def rendered(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """In place of Jupyter Book, of the checks of its pages and of the cards of the data sets, which are of no
    executed copy: the sources that were to be rendered.
    """
    found: list[Path] = []

    def render(source: Path, target: Path) -> None:
        found.append(source)
        (target / "html" / "notebooks").mkdir(parents=True, exist_ok=True)
        (target / "html" / "index.html").write_text("a page")

    monkeypatch.setattr(data_cards, "parts", dict)
    monkeypatch.setattr(site, "render", render)
    monkeypatch.setattr(site, "page_faults", lambda output, pages: [])
    return found


def test_numbers_and_figures_of_the_copies_are_laid_out_for_the_prose(
    copies: Path, rendered: list[Path], tmp_path: Path
) -> None:
    page, n_executed = site.build(given={}, target=tmp_path / "build", taken_from=copies)
    assert (page.read_text(), n_executed) == ("a page", 0)
    (source,) = rendered
    values = json.loads((source / "values.json").read_text("utf-8"))
    assert values["nb01_malicious_last"] == "50 % (40 to 60 %, n = 98)"
    assert values["nb01_run_by"] == "someone"
    figure = (source / "book" / "_generated" / "steps.html").read_text("utf-8")
    assert 'id="figure-steps"' in figure
    assert 'href="../notebooks/01_safety_amount.run.json"' in figure
    record = page.parent / "notebooks" / "01_safety_amount.run.json"
    assert '"notebook": "01_safety_amount"' in record.read_text("utf-8")
    verdicts = (source / "book" / "_generated" / "verdicts.md").read_text("utf-8")
    assert "50 % (40 to 60 %, n = 98)" in verdicts
    shown = nbformat.read(source / "notebooks" / "02_exaggerated_safety.ipynb", as_version=4)
    assert "safetune-stale" in str(shown)  # it holds no record of how it was executed


@pytest.mark.slow
def test_the_site_is_rendered_anew_only_where_something_changed(
    copies: Path, rendered: list[Path], source: Path, tmp_path: Path
) -> None:
    for n_rendered in (1, 1):
        site.build(given={}, target=tmp_path / "build", taken_from=copies)
        assert len(rendered) == n_rendered
    executed(copies, source, malicious=share(0.55, 0.4, 0.6))
    site.build(given={}, target=tmp_path / "build", taken_from=copies)
    assert len(rendered) == 2


@pytest.mark.slow
def test_a_fault_of_a_page_is_an_error_and_the_site_is_not_taken_for_built(
    copies: Path, rendered: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site, "page_faults", lambda output, pages: ["a.html has no figure", "another"])
    for n_rendered in (1, 2):
        with pytest.raises(SafetuneError, match=r"the site has 2 fault\(s\), first: a\.html has no figure"):
            site.build(given={}, target=tmp_path / "build", taken_from=copies)
        assert len(rendered) == n_rendered


@pytest.mark.slow
def test_where_no_browser_is_found_one_line_says_so_and_there_is_no_pdf(
    copies: Path,
    rendered: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(pdf, "BROWSERS", ("no-such-browser",))
    page, _ = site.build(given={}, target=tmp_path / "build", taken_from=copies, pdfs=True)
    assert capsys.readouterr().err == "no PDFs: none of no-such-browser is installed to print them\n"
    assert page.is_file()
    assert not (page.parent / pdf.FOLDER).exists()


def test_a_copy_that_is_missing_is_told(copies: Path) -> None:
    (copies / "05_topics.ipynb").unlink()
    with pytest.raises(SafetuneError, match=r"no executed copy of 05_topics\.ipynb: run it with --output"):
        site.build(given={}, taken_from=copies)


def test_only_stale_notebooks_are_executed_each_with_the_parameters_that_it_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given_to: dict[str, dict[str, Any]] = {}
    stated: list[tuple[Path, dict[str, Any]]] = []

    def here(pieces: list[Piece], **_: object) -> None:
        for piece in pieces:
            piece.work(*piece.arguments)

    def execute(path: Path, *, given: dict[str, Any]) -> Path:
        given_to[path.stem] = given
        return path

    monkeypatch.setattr(stating, "studies_of", stated.extend)
    monkeypatch.setattr(site, "fill", lambda studies, beside: None)
    monkeypatch.setattr(site, "side_by_side", here)
    monkeypatch.setattr(notebooks, "executed", execute)
    monkeypatch.setattr(freshness, "is_fresh", lambda path, *, given: path.stem[:2] != "05")
    done, n_executed = site.executed(given={"preset": "smoke", "mode": "replay"})
    assert n_executed == 1
    assert stated == [(parameters.find("05"), {"preset": "smoke"})]
    assert set(done) == {path.name for path in parameters.folder().glob("*.ipynb")}
    assert given_to["05_topics"] == {"preset": "smoke"}
    assert given_to["09_building_safety_data"] == {"mode": "replay"}


@pytest.mark.parametrize("given", [{"no_such_name": 1}, {"seeds": ["zero"]}])
def test_a_wrong_parameter_is_told_before_anything_is_executed(
    given: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def started(*_: object, **__: object) -> None:
        raise AssertionError("a notebook was executed")

    monkeypatch.setattr(notebooks, "executed", started)
    with pytest.raises(SafetuneError, match=r"no_such_name|'zero'"):
        site.executed(given=given)


@pytest.mark.slow
def test_a_book_of_other_chapters_is_built_without_the_teacher_s_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    importlib.import_module("faults").lay_out(tmp_path)
    small = tmp_path / "small"
    for path in (small / "notebooks").glob("*.ipynb"):
        notebook = nbformat.read(path, as_version=4)
        del notebook.cells[-1]  # which runs a study
        nbformat.write(notebook, path)
    environment = os.environ | {"SAFETUNE_DATA": f"{small}/data", "SAFETUNE_STORE": f"{tmp_path}/runs"}
    words = [sys.executable, "-m", "safetune_utils", "book", "--output", str(tmp_path / "build")]
    answer = subprocess.run(words, capture_output=True, text=True, env=environment)
    assert answer.returncode == 0, answer.stderr[-2000:]
    assert "executed 2 notebook(s)" in answer.stdout
    page = (tmp_path / "build" / "html" / "notebooks" / "91_study.html").read_text("utf-8")
    assert "safetune-figure" in page
    assert not (tmp_path / "build" / "html" / "practice").exists()


# What shows a result on a page: the markup of it, or the number that the copy of chapter 1 recorded.
RESULTS = (
    "safetune-headline", "safetune-figure", "safetune-dial", "safetune-verdict-lines", "safetune-strip",
    "50 % (40 to 60 %, n = 98)", "welcome_head.html", "verdict_strip.md", "authors_answers_", "compared.md",
    "{value}`nb", "<table",
)  # fmt: skip
# Pages of the source that give results, each with one that it shows.
OF_RESULTS = {
    "notebooks/01_safety_amount.ipynb": "50 % (40 to 60 %, n = 98)",
    "book/welcome.md": "welcome_head.html",
    "book/_generated/verdicts.md": "<table",
    "book/compare.md": "compared.md",
    "book/authors_answers.md": "authors_answers_shares.md",
}


def opened(path: Path) -> str:
    """What a page of the source shows without being unfolded."""
    if path.suffix == ".md":
        text = path.read_text("utf-8")
    else:
        cells = nbformat.read(path, as_version=4).cells
        shown = [
            cell
            for cell in cells
            if not {"hide-output", "remove-output"} & set(cell.metadata.get("tags", []))
        ]
        text = "\n\n".join(
            [cell.source if cell.cell_type == "markdown" else str(cell.outputs) for cell in shown]
        )
    return re.sub(r"^(:{4,})\{dropdown\}.*?^\1$|^(`{4,})\{dropdown\}.*?^\2$", "", text, flags=re.M | re.S)


def test_a_student_writes_down_what_is_expected_before_any_result_on_any_page(
    copies: Path, rendered: list[Path], tmp_path: Path
) -> None:
    site.build(given={}, target=tmp_path / "build", taken_from=copies, audience="student")
    (source,) = rendered
    for name, shows in OF_RESULTS.items():
        whole = (source / name).read_text("utf-8").replace('\\"', '"')
        assert whole.count('<textarea id="prediction"') == 1, name
        assert whole.index("Before you look") < whole.index(shows), name
        assert not [one for one in RESULTS if one in opened(source / name)], name
