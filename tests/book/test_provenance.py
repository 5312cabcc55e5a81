"""Where a page comes from: its run record and the links to it."""

from __future__ import annotations

import json
from pathlib import Path

import nbformat
from bs4 import BeautifulSoup
from html_tables import parsed, rows_of

from safetune_utils import store
from safetune_utils.book import chapter_page, chapters, outputs, parameters, provenance
from safetune_utils.scoring import refusal_rules

CHAPTER = chapters.Chapter("01_safety_amount", "01", "How much?", (), (), (), "")


def html_of(notebook: nbformat.NotebookNode) -> BeautifulSoup:
    markup = "".join(
        output.data.get("text/html", "")
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "data" in output
    )
    return parsed(markup)


def test_every_figure_and_table_links_to_its_numbers_and_its_run_record(copy: Path) -> None:
    assert provenance.link_faults("page", html_of(nbformat.read(copy, as_version=4))) == [
        "page has 2 figure(s) or table(s) without their numbers or their run record"
    ]
    page = chapter_page.page(copy, chapter=CHAPTER)
    shown = html_of(page)
    captions = shown.select("caption, figcaption")
    assert [bool(one.select('a[href="01_safety_amount.run.json"]')) for one in captions] == [True, True]
    assert provenance.link_faults("page", shown) == []
    assert "safetune-stale" not in str(page)
    assert 'href="01_safety_amount.run.json"' in page.cells[-1].source


def test_a_sentence_links_to_its_numbers_and_its_run_record(copy: Path) -> None:
    told = '<div class="safetune-prose"><p>It is 50 %.</p></div>'
    page = parsed(provenance.linked(told, notebook="01_a", folder="../notebooks/"))
    links = [link["href"] for link in page.select(".safetune-prose a")]
    assert links == ["../notebooks/01_a.values.csv", "../notebooks/01_a.run.json"]
    assert provenance.link_faults("page", parsed(told)) == [
        "page has 1 sentence(s) without a link to their numbers"
    ]
    lines = outputs.values_csv(copy).splitlines()
    assert lines[0] == "name,value,low,high,n"
    assert "malicious_last,0.5,0.4,0.6,98" in lines
    assert "run_by,someone,,," in lines


def test_the_run_record_says_how_the_page_came_to_be(copy: Path) -> None:
    record = json.loads(provenance.record_text(copy))
    for name in ("settings", "started", "seconds", "peak_memory_bytes", "code", "versions", "machine"):
        assert record[name], name
    assert record["settings"]["seeds"] == [0]
    assert record["made_from"]["notebook"] == store.file_hash(parameters.find("01"))
    assert "study/stages.py" in record["made_from"]["code"]
    assert "data/corpus/safety.jsonl" in record["made_from"]["files"]
    closing = provenance.closing(copy)
    for shown in (
        record["code"],
        record["started"],
        "embedded-n5-seed0-instruction-abc",
        f"torch {record['versions']['torch']}",
        f"refusal-rules {refusal_rules.VERSION}",
    ):
        assert shown in closing


def test_runs_are_listed_once_with_the_pages_that_use_them(copy: Path) -> None:
    again = copy.with_name("02_exaggerated_safety.ipynb")
    again.write_bytes(copy.read_bytes())
    page = provenance.parts([copy, again])["runs_adapters"]
    (row,) = rows_of(page)[1:]
    assert row[1:5] == ["5", "0", "60", "2.0 GB"]
    assert [link["href"] for link in parsed(page).select("td a")] == [
        "../notebooks/01_safety_amount.html",
        "../notebooks/02_exaggerated_safety.html",
    ]
