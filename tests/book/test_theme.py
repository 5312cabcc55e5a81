"""What the theme's pages lack is mended, and their style sheets lose only what no page uses."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from html_tables import parsed

from safetune_utils.book import theme

PAGE = """<html><head><title>T</title>
<script defer src="../_static/scripts/fontawesome.js?digest=5"></script>
<script src="_static/searchtools.js"></script>
<script src="../searchindex.js"></script>
<script src="../_static/doctools.js"></script>
</head><body class="a">
<button class="btn search-button-field" title="Search" aria-label="Search">Search Ctrl K</button>
<div class="sidebar-primary-item">
<a class="navbar-brand logo" href="#">Book</a></div>
<div role="list"><div role="doc-biblioentry">An entry</div></div>
<article><h1>T</h1><p>What &lt;it&gt; <em>is</em> about.</p><pre>code</pre></article></body></html>"""


def test_a_page_has_its_faults_mended() -> None:
    page = theme.mended(PAGE, searches=False)
    assert "fontawesome" not in page
    assert "searchtools" not in page
    assert "searchindex" not in page
    assert "doctools.js" in page
    assert '<meta name="description" content="What &lt;it&gt; is about.">' in page
    assert 'aria-label="Search"' not in page
    assert 'role="navigation" aria-label="Home"' in page
    assert 'role="listitem"' in page
    assert '<pre tabindex="0">' in page
    assert theme.mended(page, searches=False) == page


def test_the_page_that_searches_keeps_what_it_searches_with() -> None:
    page = theme.mended(PAGE, searches=True)
    assert page.index("excerpts.js") < page.index("searchtools.js")
    assert "searchindex" in page


def test_a_description_is_the_headline_and_not_too_long() -> None:
    text = "word " * 80
    page = PAGE.replace("<h1>T</h1>", f'<div class="safetune-headline"><p>{text}</p></div>')
    described = theme.mended(page, searches=False).split('name="description" content="')[1].split('"')[0]
    assert described.startswith("word word")
    assert described.endswith("word…")
    assert len(described) <= 160


def test_a_refresh_page_is_left_as_it_is() -> None:
    assert theme.mended("<meta http-equiv='Refresh'>", searches=False) == "<meta http-equiv='Refresh'>"


@pytest.mark.parametrize(
    ("sheet", "left"),
    [
        (".a{color:red}.b{color:red}", ".a{color:red}"),
        (".a.b,.a:hover{x:y}", ".a:hover{x:y}"),
        (".a:not(.b){x:y}", ".a:not(.b){x:y}"),
        ("p,#b{x:y}", "p{x:y}"),
        ("@media print{.b{x:y}}@media print{.a{x:y}}", "@media print{.a{x:y}}"),
        ('.a[data-x="1,2.b"]{x:y}', '.a[data-x="1,2.b"]{x:y}'),
        ("@font-face{font-family:Font Awesome}", ""),
        ("@font-face{font-family:X}", "@font-face{font-family:X}"),
        (".a:is(.b,.c) p{x:y}", ".a:is(.b,.c) p{x:y}"),
    ],
)
def test_a_rule_is_kept_where_all_that_it_names_is_there(sheet: str, left: str) -> None:
    assert theme.used_rules(sheet, {"a"}) == left


def test_every_icon_of_a_page_is_drawn(tmp_path: Path) -> None:
    (tmp_path / "_static").mkdir()
    (tmp_path / "_static" / "book.css").write_text(".mine{x:y}.other{x:y}")
    (tmp_path / "page.html").write_text(PAGE.replace("An entry", '<i class="mine fa-solid fa-sun"></i>'))
    theme.mend(tmp_path)
    sheet = (tmp_path / "_static" / "book.css").read_text()
    assert ".mine{x:y}" in sheet
    assert ".other" not in sheet
    assert ".fa-sun{--icon:" in sheet
    assert ".fa-moon" not in sheet


def test_the_pages_that_only_lead_elsewhere_have_a_title_a_language_and_a_link(tmp_path: Path) -> None:
    (tmp_path / "_static").mkdir()
    (tmp_path / "_static" / "book.css").write_text("")
    (tmp_path / "index.html").write_text('<meta http-equiv="Refresh" content="0; url=book/welcome.html" />')
    theme.mend(tmp_path, site="https://example.org/book/")
    for name, leads_to in (("index.html", "book/welcome.html"), ("404.html", "https://example.org/book/")):
        page = parsed((tmp_path / name).read_text("utf-8"))
        assert page.html["lang"] == "en"
        assert "Safety-Tuned LLaMAs" in page.title.get_text()
        assert [link["href"] for link in page.select("main a")] == [leads_to]
    assert "url=book/welcome.html" in (tmp_path / "index.html").read_text("utf-8")


def test_a_site_with_an_address_lists_its_pages(tmp_path: Path) -> None:
    (tmp_path / "_static").mkdir()
    (tmp_path / "_static" / "book.css").write_text("")
    for name in ("search.html", "index.html", "01 & 02.html"):
        (tmp_path / name).write_text(PAGE)
    theme.mend(tmp_path)
    assert not (tmp_path / "sitemap.xml").exists()
    theme.mend(tmp_path, site="https://example.org/book/")
    listed = ET.fromstring((tmp_path / "sitemap.xml").read_text("utf-8"))
    assert [place.text for place in listed.iter() if place.tag.endswith("loc")] == [
        "https://example.org/book/01%20%26%2002.html"
    ]
