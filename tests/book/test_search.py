"""Search in a book that was opened from a folder: chapters first, each with an excerpt, and no answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from safetune_utils.book import search

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ANSWER = '<details class="safetune-answers">a harmful answer</details>'
PAGE = "<article><h1>{}</h1><p>{} </script> refusal</p>{}</article>"


def site(folder: Path) -> list[Path]:
    for name in ("book/method", "notebooks/01_a", "search", "index"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.html").write_text(PAGE.format(name, name, ANSWER))
    return sorted(folder.rglob("*.html"))


def test_the_text_of_pages_travels_in_the_script_without_what_is_folded(tmp_path: Path) -> None:
    script = search.script(tmp_path, site(tmp_path))
    texts = json.loads(script.split("const EXCERPTS = ")[1].split(";\n")[0])
    assert list(texts) == ["book/method.html", "notebooks/01_a.html"]
    assert texts["book/method.html"] == "book/method book/method refusal"
    assert "harmful" not in script
    assert "<" not in json.dumps(script.split("const EXCERPTS = ")[1].split(";\n")[0])


def test_an_excerpt_is_given_from_a_folder_and_a_chapter_comes_first(
    browser: Browser, tmp_path: Path
) -> None:
    pages = site(tmp_path)
    (tmp_path / "x.js").write_text(search.script(tmp_path, pages))
    (tmp_path / "page.html").write_text('<meta charset="utf-8"><script src="x.js"></script>')
    page = browser.new_page()
    page.goto((tmp_path / "page.html").as_uri())
    found = page.evaluate("async () => (await fetch('notebooks/01_a.html#x')).text()")
    assert "notebooks/01_a refusal" in found
    assert 'role="main"' in found
    scores = page.evaluate(
        "[['notebooks/01_a','','','',5,''], ['book/method','','','',15,'']].map(Scorer.score)"
    )
    assert scores[0] > scores[1]
    page.close()
