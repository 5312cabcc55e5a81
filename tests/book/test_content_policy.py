"""The content policy of the site's pages: what is the theme's runs, and nothing else."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from bs4 import BeautifulSoup
from draft_items import ITEMS

from safetune_utils.annotation import review
from safetune_utils.book import compare, content_policy

if TYPE_CHECKING:
    from playwright.sync_api import Browser

THEME = "<script>window.theme = 'set';</script>"
HEAD = f'<head>\n<meta charset="utf-8" />{THEME}<script src="{{}}beside.js"></script></head>'
PLACE = "<script>DOCUMENTATION_OPTIONS.pagename = '{}';</script>"
FULL = '<button onclick="toggleFullScreen()">full</button>'


def site(folder: Path, body: str) -> Path:
    """A site of a search page and one other, with its policy."""
    (folder / "notebooks").mkdir(parents=True)
    (folder / "beside.js").write_text(
        "var DOCUMENTATION_OPTIONS = {}; window.beside = 'ran'; "
        "function toggleFullScreen() { window.full = 'pressed'; }"
    )
    (folder / "search.html").write_text(
        f"<html>{HEAD.format('')}<body>{PLACE.format('search')}</body></html>"
    )
    page = folder / "notebooks" / "01.html"
    own = PLACE.format("notebooks/01")
    page.write_text(f"<html>{HEAD.format('../')}<body>{own}{FULL}{body}</body></html>", "utf-8")
    (folder / "index.html").write_text('<meta http-equiv="Refresh" content="0; url=search.html" />\n')
    content_policy.add(folder)
    return page


def faults(path: Path) -> list[str]:
    return content_policy.faults(BeautifulSoup(path.read_text("utf-8"), "html.parser"))


def test_every_page_carries_a_policy_before_its_first_script(tmp_path: Path) -> None:
    site(tmp_path, "<p>text</p>")
    for path in tmp_path.rglob("*.html"):
        text = path.read_text("utf-8")
        assert text.count("Content-Security-Policy") == 1
        assert text.index("Content-Security-Policy") < text.find("<script") % len(text)
        assert text.encode().index(b"charset") < 1024  # where a browser looks for it
        assert faults(path) == []
        for part in ("default-src 'none'", "base-uri 'none'", "script-src 'self'"):
            assert part in text
        assert "unsafe-eval" not in text
        assert "'unsafe-inline'" not in text.split("script-src")[1].split(";")[0]


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ("<script>window.evil = 1</script>", "a script that is not ours"),
        (f"<script>{'DOCUMENTATION_OPTIONS.pagename'} = 'x'; evil();</script>", "a script that is not ours"),
        ("<img alt='a' src='x' onerror='evil()'>", "runs a script which is not ours"),
        ('<button onclick="toggleFullScreen() ; evil()">b</button>', "runs a script which is not ours"),
        ('<a href=" JavaScript:evil()">b</a>', "a link that runs a script"),
        (f'<iframe srcdoc="{escape("<script>evil()</script>")}"></iframe>', "a script that is not ours"),
    ],
)
def test_what_is_not_the_theme_s_is_a_fault_and_gets_no_leave(body: str, fault: str, tmp_path: Path) -> None:
    assert any(fault in found for found in faults(site(tmp_path, body)))


def test_a_page_without_a_policy_is_a_fault() -> None:
    assert content_policy.faults(BeautifulSoup("<p>a</p>", "html.parser")) == ["carries no content policy"]


def test_in_a_browser_what_is_ours_runs_and_nothing_else_runs_or_loads(
    browser: Browser, tmp_path: Path
) -> None:
    study = escape(review.page(ITEMS, title="Drafts"))
    body = (
        "<script>window.evil = 'inline'</script>"
        "<img alt='a' src='none' onerror=\"window.evil = 'handler'\">"
        "<img alt='a' src='http://127.0.0.1:9/x.png'>"
        "<script src='http://127.0.0.1:9/x.js'></script>"
        "<a id='go' href=\"javascript:window.evil = 'link'\">go</a>"
        "<base href='http://127.0.0.1:9/'>"
        f'<iframe title="t" sandbox="allow-scripts" srcdoc="{study}"></iframe>'
        "<p style='color: rgb(1, 2, 3)'>styled</p>"
    )
    path = site(tmp_path / "site", body)
    page = browser.new_page()
    asked: list[str] = []
    refused: list[str] = []
    page.on("requestfinished", lambda request: asked.append(request.url))
    page.on("console", lambda message: refused.append(message.text) if message.type == "error" else None)
    page.goto(path.as_uri())
    page.click("button")
    page.click("#go")
    page.wait_for_timeout(200)
    found = page.evaluate(
        "[window.theme, window.beside, window.full, DOCUMENTATION_OPTIONS.pagename, window.evil]"
    )
    assert found == ["set", "ran", "pressed", "notebooks/01", None]
    assert page.evaluate("getComputedStyle(document.querySelector('p')).color") == "rgb(1, 2, 3)"
    # The page for raters inside it runs its own script.
    assert page.frame_locator("iframe").locator("#heading").inner_text() == f"Item 1 of {len(ITEMS)}"
    assert not [url for url in asked if url.startswith("http")]
    assert len([text for text in refused if "Content Security Policy" in text]) >= 5
    page.close()
    # The same attempts do get through without the policy.
    path.write_text(path.read_text("utf-8").replace('http-equiv="Content-Security-Policy"', "name='none'"))
    page = browser.new_page()
    page.goto(path.as_uri())
    assert page.evaluate("window.evil") in ("inline", "handler")
    page.close()


def test_a_comparison_carries_a_policy_under_which_its_style_holds_and_no_script_runs(
    browser: Browser, tmp_path: Path
) -> None:
    text = compare.page([], theirs="<b>theirs</b>", ours="ours", apart=[])
    assert "script-src" not in text
    assert "default-src 'none'" in text
    path = tmp_path / "compare.html"
    path.write_text(text.replace("</body>", "<script>window.evil = 1</script></body>"), "utf-8")
    page = browser.new_page()
    page.goto(path.as_uri())
    assert page.evaluate("[window.evil, getComputedStyle(document.body).maxWidth]") == [None, "1216px"]
    page.close()
