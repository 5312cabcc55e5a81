"""What is mended in the pages that the theme makes: icons without a script, names and places for screen
readers, what search engines read, and style sheets without the rules that no page uses.
"""

from __future__ import annotations

import html
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import tinycss2

from safetune_utils.book import search
from safetune_utils.book.markup import render

# Lines of an icon in a square of 24, by its name in the theme.
_ICONS = {
    "angle-left": "M15 5l-7 7 7 7",
    "angle-right": "M9 5l7 7-7 7",
    "arrow-up": "M12 20V5M5 12l7-7 7 7",
    "bars": "M3 6h18M3 12h18M3 18h18",
    "circle-half-stroke": "M12 3a9 9 0 1 0 0 18zM12 3a9 9 0 0 1 0 18",
    "download": "M12 3v12M6 10l6 6 6-6M4 21h16",
    "expand": "M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5",
    "file": "M6 3h8l5 5v13H6z",
    "file-pdf": "M6 3h8l5 5v13H6zM9 13h7M9 17h7",
    "list": "M8 6h13M8 12h13M8 18h13M3 6h1M3 12h1M3 18h1",
    "magnifying-glass": "M10 4a6 6 0 1 0 .01 0M15 15l6 6",
    "moon": "M20 14A8 8 0 0 1 10 4a8 8 0 1 0 10 10z",
    "outdent": "M3 5h18M12 12h9M3 19h18M7 9l-3 3 3 3",
    "sun": "M12 8a4 4 0 1 0 .01 0M12 2v2M12 20v2M2 12h2M20 12h2M5 5l1 1M18 18l1 1M5 19l1-1M18 6l1-1",
}
# Scripts that a page loads and does not use: icons as 1.5 MB of script, and search where nothing is searched.
_ICON_SCRIPT = re.compile(r'<script[^>]*src="[^"]*fontawesome\.js[^"]*"[^>]*></script>\s*')
_SEARCH_SCRIPTS = re.compile(
    r'<script[^>]*src="[^"]*(?:searchtools|language_data|searchindex)\.js[^"]*"[^>]*></script>\s*'
)
# Pages that nobody looks for.
_NOT_LISTED = ("404.html", "search.html", "index.html")
# A name that says another thing than the button's text, and parts that lie in no landmark.
_MENDED = (
    (re.compile(r'(<button[^>]*search-button-field[^>]*?) aria-label="Search"'), r"\1"),
    (re.compile(r'<div class="sidebar-primary-item">(?=\s*<a class="navbar-brand)'),
     '<div class="sidebar-primary-item" role="navigation" aria-label="Home">'),
    (re.compile(r'role="doc-biblioentry"'), 'role="listitem"'),
    (re.compile(r"<pre>"), '<pre tabindex="0">'),
)  # fmt: skip


def mend(output: Path, *, site: str = "") -> None:
    """Mend every page of a built site, and take out of its style sheets what none of them uses.

    Args:
        site: the address where it will be read, for its ``sitemap.xml``; without one it has none.
    """
    pages = [
        path for path in sorted(output.rglob("*.html")) if path.relative_to(output).parts[0] != "_static"
    ]
    for path in pages:
        path.write_text(mended(path.read_text("utf-8"), searches=path.name == "search.html"), "utf-8")
    (output / "_static" / search.NAME).write_text(search.script(output, pages), "utf-8")
    if site:
        (output / "sitemap.xml").write_text(
            _sitemap(site, [path.relative_to(output) for path in pages]), "utf-8"
        )
    (output / "404.html").write_text(render("missing_page", site=site), "utf-8")
    # Jupyter Book's own has no title and no language.
    (output / "index.html").write_text(render("first_page"), "utf-8")
    own = output / "_static" / "book.css"
    own.write_text(own.read_text("utf-8") + icons(), "utf-8")
    names = _names(output, pages)
    for sheet in sorted((output / "_static").rglob("*.css")):
        sheet.write_text(used_rules(sheet.read_text("utf-8"), names), "utf-8")


def _sitemap(site: str, places: list[Path]) -> str:
    """The pages of a site for search engines, as sitemaps.org has it."""
    root = ET.Element("urlset", xmlns="http://www.sitemaps.org/schemas/sitemap/0.9")
    for place in places:
        if place.name not in _NOT_LISTED:
            address = f"{site.removesuffix('/')}/{quote(place.as_posix())}"
            ET.SubElement(ET.SubElement(root, "url"), "loc").text = address
    return ET.tostring(root, encoding="unicode", xml_declaration=True)


def mended(page: str, *, searches: bool) -> str:
    """A page of the theme's with its faults mended; a page that is no document is left as it is."""
    if "</head>" not in page:
        return page
    page = _ICON_SCRIPT.sub("", page)
    if not searches:
        page = _SEARCH_SCRIPTS.sub("", page)
    elif search.NAME not in page:
        own = f'<script src="_static/{search.NAME}"></script>'
        page = page.replace(
            '<script src="_static/searchtools.js', f'{own}\n<script src="_static/searchtools.js', 1
        )
    for fault, instead in _MENDED:
        page = fault.sub(instead, page)
    described = _description(page)
    if described and '<meta name="description"' not in page:
        tag = f'<meta name="description" content="{html.escape(described, quote=True)}">\n</head>'
        page = page.replace("</head>", tag, 1)
    return page


def _description(page: str) -> str:
    """What a page says of itself to a search engine, in 160 characters: its headline or its first words."""
    article = page.partition("<article")[2]
    headline = article.partition("safetune-headline")[2]
    found = re.search(r"<p>(.*?)</p>", headline or article, re.DOTALL)
    text = " ".join(html.unescape(re.sub(r"<[^>]*>", "", found[1])).split()) if found else ""
    return text if len(text) <= 160 else text[:159].rsplit(" ", 1)[0] + "…"


def icons() -> str:
    """The style sheet that draws the theme's icons."""
    rules = [
        ":is(.fa-solid,.fas){display:inline-block;width:1.1em;height:1.1em;vertical-align:-.15em}"
        ':is(.fa-solid,.fas)::before{content:"" !important;display:block;width:100%;height:100%;'
        "background:currentColor;"
        "mask:var(--icon) center/contain no-repeat;-webkit-mask:var(--icon) center/contain no-repeat}"
    ]
    for name, lines in _ICONS.items():
        drawing = (
            "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 24 24' fill='none' stroke='black'"
            f" stroke-width='2' stroke-linecap='round' stroke-linejoin='round'><path d='{lines}'/></svg>"
        )
        rules.append(f'.fa-{name}{{--icon:url("data:image/svg+xml,{quote(drawing)}")}}')
    return "".join(rules)


def _names(output: Path, pages: list[Path]) -> set[str]:
    """Every word of the pages and of the scripts that could name a class, an id or an attribute."""
    apart = ("fontawesome.js", search.NAME)
    scripts = [path for path in (output / "_static").rglob("*.js") if path.name not in apart]
    words: set[str] = set()
    for path in pages:
        for values in re.findall(r'(?:class|id)="([^"]*)"', path.read_text("utf-8")):
            words |= set(values.split())
    for path in scripts:
        words |= set(re.findall(r"[A-Za-z][\w-]*", path.read_text("utf-8", errors="ignore")))
    return words


def used_rules(sheet: str, names: set[str]) -> str:
    """A style sheet without the rules whose classes or ids stand nowhere.

    Args:
        names: the classes and ids that stand somewhere.
    """
    return "".join(_kept(tinycss2.parse_stylesheet(sheet, skip_comments=True, skip_whitespace=True), names))


def _kept(rules: list[tinycss2.ast.Node], names: set[str]) -> Iterator[str]:
    for rule in rules:
        if rule.type == "qualified-rule":
            selectors = tinycss2.serialize(rule.prelude)
            if used := [one for one in _split(selectors) if _is_used(one, names)]:
                yield f"{','.join(used)}{{{tinycss2.serialize(rule.content).strip()}}}"
        elif (
            rule.type == "at-rule"
            and rule.lower_at_keyword in ("media", "supports", "layer")
            and rule.content
        ):
            inside = "".join(
                _kept(tinycss2.parse_rule_list(rule.content, skip_comments=True, skip_whitespace=True), names)
            )
            if inside:
                yield f"@{rule.at_keyword}{tinycss2.serialize(rule.prelude)}{{{inside}}}"
        elif rule.type == "at-rule" and "Font Awesome" not in tinycss2.serialize(rule.content or []):
            yield rule.serialize()


def _split(selectors: str) -> list[str]:
    """The selectors of a rule; a comma in brackets does not end one."""
    return [one.strip() for one in re.split(r",(?![^(\[]*[)\]])", selectors)]


def _is_used(selector: str, names: set[str]) -> bool:
    # What stands in these brackets need not be there, or not all of it.
    plain = re.sub(r":(?:not|is|where)\([^)]*\)|\[[^\]]*\]|\\.", "", selector)
    return all(name in names for name in re.findall(r"[.#]([A-Za-z_][\w-]*)", plain))
