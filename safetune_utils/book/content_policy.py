"""The content policy of the site's pages: what a browser lets run and load on them.

A page may run the scripts that lie beside it and the theme's own inline ones, each by its hash, and load
nothing from another host. So markup that came from a prompt or an answer, should it ever reach a page
unescaped, runs no script. The policy stands in the page, since the site is served by hosts that set no
headers, and opens from a folder.

What it does not stop: markup like that could still look like a part of the page, for inline styles are
allowed (the theme's icons and the figures need them), and could link elsewhere. Where the site shares its
address with others, as under one name at GitHub Pages, scripts of theirs count as lying beside it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from safetune_utils.annotation.page import hash_source, only, template
from safetune_utils.book.markup import parsed

if TYPE_CHECKING:
    from bs4 import BeautifulSoup

# What the theme's buttons do when pressed.
_HANDLERS = ("toggleFullScreen()", "window.print()")
# Pages that are shown inside a page of the site, cut off from it; its policy holds for them too.
_EMBEDDED = ("review", "preference")
_HEAD = re.compile(r'(<head>\s*)?<meta charset="utf-8"[^>]*>')
_THIS_PAGE = "DOCUMENTATION_OPTIONS.pagename = '{}';"


def add(output: Path) -> None:
    """Put its policy into every page of a built site.

    The theme's own scripts are those of the search page, which holds no text from outside.
    """
    search = parsed((output / "search.html").read_text("utf-8"))
    theme = list(dict.fromkeys(_scripts(search)))
    inside = [only(template(one), "script") for one in _EMBEDDED]
    for path in sorted(output.rglob("*.html")):
        place, text = path.relative_to(output), path.read_text("utf-8")
        if place.parts[0] != "_static":
            ours = [*theme, _THIS_PAGE.format(place.with_suffix("").as_posix())]
            used = [script for script in ours if f">{script}</script>" in text]
            used += inside if "srcdoc=" in text else []
            path.write_text(with_policy(text, _policy(used)), "utf-8")


def with_policy(markup: str, policy: str) -> str:
    """A page that carries a policy, before all that the policy is for."""
    tag = f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    if found := _HEAD.search(markup):
        return f"{markup[: found.end()]}\n{tag}{markup[found.end() :]}"
    return f'<meta charset="utf-8">\n{tag}\n{markup}'


def faults(page: BeautifulSoup) -> list[str]:
    """What a page of a site must not have: no policy, or scripts that its policy does not name."""
    carried = page.select_one('meta[http-equiv="Content-Security-Policy"]')
    if carried is None:
        return ["carries no content policy"]
    policy = str(carried["content"])
    found = []
    if any(hash_source(script) not in policy for script in _all_scripts(page)):
        found.append("has a script that is not ours")
    attributes = [(name, str(value)) for tag in page.find_all(True) for name, value in tag.attrs.items()]
    if any(name.startswith("on") and value not in _HANDLERS for name, value in attributes):
        found.append("has an element that runs a script which is not ours")
    if any(re.match(r"\s*javascript:", value, re.IGNORECASE) for _, value in attributes):
        found.append("has a link that runs a script")
    return found


def _policy(scripts: list[str]) -> str:
    hashes = " ".join(map(hash_source, [*_HANDLERS, *scripts]))
    return (
        f"default-src 'none'; script-src 'self' 'unsafe-hashes' {hashes}; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'"
    )


def _all_scripts(page: BeautifulSoup) -> list[str]:
    """The inline scripts of a page and of the pages inside it."""
    inside = [parsed(str(frame["srcdoc"])) for frame in page.select("iframe[srcdoc]")]
    return [script for one in (page, *inside) for script in _scripts(one)]


def _scripts(page: BeautifulSoup) -> list[str]:
    """The inline scripts of a page; one of JSON is data and runs nothing."""
    return [
        script.get_text()
        for script in page.find_all("script")
        if not script.get("src") and script.get("type") != "application/json"
    ]
