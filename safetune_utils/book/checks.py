"""What a built page must not have."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from safetune_utils.book import content_policy, provenance
from safetune_utils.book.markup import parsed

if TYPE_CHECKING:
    from bs4 import BeautifulSoup, NavigableString, Tag

# A name of a value, in a cell or a page that should have been filled in.
_NAME = re.compile(r"\{\{ |\{value\}")

_CODE = {"pre", "code", "script", "style"}
_OUTPUT = {"cell_output", "safetune-table"}


def page_faults(output: Path, experiment_pages: list[str]) -> list[str]:
    """What a page must not have: errors, unresolved names, requests to other hosts, scripts that are not
    ours, no figure, figures without alt text, numbers or record; sentences that lead nowhere; staleness.
    """
    faults = [f"{name} is not there" for name in experiment_pages if not (output / name).is_file()]
    for path in sorted(output.rglob("*.html")):
        name = str(path.relative_to(output))
        if name.startswith("_static"):
            continue
        page = parsed(path.read_text("utf-8"))
        faults += [f"{name} {fault}" for fault in content_policy.faults(page)]
        if not name.startswith("search"):
            faults += [f"{name} {fault}" for fault in _faults(page, path)]
            if name in experiment_pages and name.startswith("notebooks/"):
                faults += provenance.link_faults(name, page)
                if not path.with_name(provenance.record_name(path.stem)).is_file():
                    faults.append(f"{name} has no run record beside it")
            if name in [*experiment_pages, "book/welcome.html"] and not page.select_one(".safetune-figure"):
                faults.append(f"{name} has no figure")
    return faults


def _faults(page: BeautifulSoup, path: Path) -> list[str]:
    faults = []
    if page.select_one(".cell_output .output.traceback, .cell_output .output.stderr"):
        faults.append("shows an error or a warning of its code")
    if page.select_one(".admonition.safetune-stale"):
        faults.append("is stale: its notebook, the package's code or data changed since it was executed")
    if any(_is_foreign(tag) for tag in page.select("script[src], link[href], img[src], iframe[src]")):
        faults.append("asks another host for a file")
    if any(not _has_alt(image) for image in page.find_all("img")):
        faults.append("has an image without alt text")
    if any(not _is_named(drawing) for drawing in page.select(".safetune-figure svg")):
        faults.append("has a drawing without alt text")
    for link in page.select(".safetune-prose a[href]"):
        address = urlsplit(str(link["href"]))
        if not address.scheme and address.path and not (path.parent / unquote(address.path)).is_file():
            faults.append(f"has a sentence that leads nowhere: {link['href']}")
    if any(_NAME.search(text) for text in page.find_all(string=True) if not _is_shown(text)):
        faults.append("has a name that was not filled in")
    return faults


def _is_shown(text: NavigableString) -> bool:
    """Whether a text is what a run shows, and so no name that was forgotten."""
    return any(tag.name in _CODE or _OUTPUT & set(tag.get_attribute_list("class")) for tag in text.parents)


def _is_named(drawing: Tag) -> bool:
    around = drawing.find_parent(attrs={"role": "img"})
    return around is not None and bool(str(around.get("aria-label", "")).strip())


def _is_foreign(tag: Tag) -> bool:
    return bool(urlsplit(str(tag.get("src") or tag.get("href"))).netloc)


def _has_alt(image: Tag) -> bool:
    alt = str(image.get("alt", "")).strip()
    return bool(alt) and not re.fullmatch(r"\S+\.(png|svg|jpe?g)", alt)
