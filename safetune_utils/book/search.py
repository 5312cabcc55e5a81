"""The search page's own script: chapters come first, and the excerpts of what is found travel in it.

The theme would ask for each page that it found, which a browser forbids where a book is opened from a folder.
"""

from __future__ import annotations

import json
from pathlib import Path

from safetune_utils.book.markup import parsed

NAME = "excerpts.js"
_LONGEST = 20_000  # characters of a page among which an excerpt is looked for
_SCRIPT = """// What Sphinx's search takes instead of its own: the order of results, the text of each page.
var Scorer = {
  objNameMatch: 11, objPartialMatch: 6, objPrio: { 0: 15, 1: 5, 2: -5 }, objPrioDefault: 0,
  title: 15, partialTitle: 7, term: 5, partialTerm: 2,
  score: ([name, , , , score]) => score + (name.startsWith("notebooks/") ? 40 : 0),
};
const EXCERPTS = %s;
const fetchAnother = window.fetch;
window.fetch = (address, ...more) => {
  const name = String(address).replace(/^[./]*/, "").split("#")[0];
  if (!(name in EXCERPTS)) return fetchAnother(address, ...more);
  const page = document.implementation.createHTMLDocument();
  page.body.setAttribute("role", "main");
  page.body.textContent = EXCERPTS[name];
  return Promise.resolve(new Response(page.documentElement.outerHTML));
};
"""


def script(output: Path, pages: list[Path]) -> str:
    """The script for the search page of a site, from the text of its pages."""
    texts = {}
    for path in pages:
        name = path.relative_to(output).as_posix()
        if not name.startswith(("search", "index", "404")):
            texts[name] = _text(path.read_text("utf-8"))
    # No "<": what a page says cannot end the script, should it ever stand inside a page.
    return _SCRIPT % json.dumps(texts, ensure_ascii=False).replace("<", "\\u003c")


def _text(page: str) -> str:
    article = parsed(page).select_one("article") or parsed("")
    # Not what is folded: prompts and answers that a reader opens by choice.
    for hidden in article.select("script, style, svg, .headerlink, .safetune-answers, .safetune-dial"):
        hidden.decompose()
    return " ".join(article.get_text(" ").split())[:_LONGEST]
