"""Chapters as PDF: light whatever the screen prefers, linked from their pages, no path of this machine."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from browsing import CHROMIUM
from html_tables import parsed
from page_measures import sheets_of

from safetune_utils.book import pdf
from safetune_utils.book.markup import render
from safetune_utils.errors import SafetuneError

LINKS = '<a href="#part">a</a><a href="../book/method.html#b">b</a><a href="https://example.org/">c</a>'
# What a page of the theme does: a script takes the colours that the screen prefers.
PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>A chapter</title>
<script>document.documentElement.dataset.theme = matchMedia("(prefers-color-scheme: dark)").matches
  ? "dark" : "light"</script>
<style>html[data-theme="dark"] { background: #000; color: #fff } p { break-after: page }</style>
<link rel="stylesheet" href="../_static/book.css"></head>
<body><h1>A chapter</h1><p id="part">First.</p><h2>A part</h2><p>Second.</p><h2>Another</h2>%s%s</body></html>
"""


def test_a_page_for_paper_is_light_and_has_no_script_and_no_link_into_this_machine() -> None:
    for address, second in (
        ("", None),
        ("https://example.org/book/notebooks/01.html", "https://example.org/book/book/method.html#b"),
    ):
        page = parsed(pdf.for_paper(PAGE % (LINKS, ""), address=address))
        assert page.html["data-theme"] == "light"
        assert not page.find_all("script")
        assert [link.get("href") for link in page.find_all("a")] == ["#part", second, "https://example.org/"]


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A built site of one chapter."""
    for name in ("notebooks", "_static"):
        (tmp_path / name).mkdir()
    (tmp_path / "_static" / "book.css").write_text("h1 { font-size: 20pt }")
    text = PAGE % (LINKS, render("downloads", name="01", pdf=""))
    (tmp_path / "notebooks" / "01.html").write_text(text, "utf-8")
    return tmp_path


@pytest.mark.slow
@pytest.mark.sample
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine; CI installs it")
def test_a_chapter_is_printed_and_linked_and_a_dark_screen_changes_nothing(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert CHROMIUM
    page, file = site / "notebooks" / "01.html", site / "pdf" / "01.pdf"
    text, printed = page.read_text("utf-8"), []
    for flags in ((), ("--force-dark-mode", "--blink-settings=preferredColorScheme=0")):
        monkeypatch.setattr(pdf, "_FLAGS", (*pdf._FLAGS, *flags))
        page.write_text(text, "utf-8")
        pdf.add(site, ["01"], browser=CHROMIUM)
        printed.append(re.sub(rb"D:\d{14}", b"", file.read_bytes()))
    assert printed[0] == printed[1]
    assert sheets_of(printed[0]) == 3
    for part in (b"/Title (A chapter)", b"/Outlines", b"/StructTreeRoot", b"/URI (https://example.org/)"):
        assert part in printed[0]
    assert b"file:" not in printed[0]
    assert str(site).encode() not in printed[0]
    links = [str(link["href"]) for link in parsed(page.read_text("utf-8")).select("a[download]")]
    assert links == ["01.ipynb", "01.executed.ipynb", "../pdf/01.pdf"]
    assert sorted(path.name for path in page.parent.iterdir()) == ["01.html"]


def test_a_browser_that_prints_nothing_is_told_and_leaves_the_page_as_it_was(site: Path) -> None:
    with pytest.raises(SafetuneError, match=r"false did not print 01\.pdf"):
        pdf.add(site, ["01"], browser="/bin/false")
    assert [path.name for path in (site / "notebooks").iterdir()] == ["01.html"]
    assert "pdf" not in (site / "notebooks" / "01.html").read_text("utf-8")
