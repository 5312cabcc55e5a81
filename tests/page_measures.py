"""What a reader meets on a built page: the way to its figure, faults of access, weight, paper."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

DESKTOP, PHONE = (1280, 800), (360, 740)
THEMES = ("light", "dark")
# The rules of axe that the colours of a theme decide; all others see the same page in light and in dark.
OF_COLOURS = ("color-contrast", "link-in-text-block")

# Of a page: where its first figure begins, the share of its height that figures and code take, the height in
# pixels of the smallest label in a drawing, and whether it is wider than the window.
_MEASURES = """() => {
    const seen = (e) => e.checkVisibility() && e.getBoundingClientRect().height > 0;
    const all = (selector) => [...document.querySelectorAll(selector)].filter(seen);
    const height = (found) => found.reduce((sum, e) => sum + e.getBoundingClientRect().height, 0);
    const article = document.querySelector("article") ?? document.body;
    const whole = article.getBoundingClientRect().height;
    const figures = all(".safetune-figure");
    const labels = all(".safetune-figure svg text").map((text) => {
        const svg = text.ownerSVGElement;
        const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
        return parseFloat(getComputedStyle(text).fontSize) * scale;
    });
    const top = figures.length ? figures[0].getBoundingClientRect().top + scrollY : null;
    return {
        top,
        figures: height(figures) / whole,
        code: height(all(".cell_input")) / whole,
        label: labels.length ? Math.min(...labels) : null,
        over: document.documentElement.scrollWidth - innerWidth,
    };
}"""


class Measured(NamedTuple):
    """One page.

    Attributes:
        screens: to the top of the first figure, on a desktop and on a phone; ``None`` without a figure.
        figures, code: their share of the page's height on a desktop, 0 to 1.
        label: pixels of the smallest label of a drawing on a phone; ``None`` without text.
        over: pixels by which the page is too wide on a phone.
        bytes: of the page itself.
        shared: of all files that it loads besides, in bytes.
        sheets: pages of A4 when it is printed, in light and in dark.
        faults: of access, nodes by rule over both themes and both widths; empty where axe was not asked.
    """

    screens: tuple[float | None, float | None]
    figures: float
    code: float
    label: float | None
    over: int
    bytes: int
    shared: int
    sheets: tuple[int, int]
    faults: Counter[str]


def measure(browser: Browser, path: Path, *, axe: str = "") -> Measured:
    """Open a page on a desktop and on a phone, in light and in dark."""
    tops, sheets, by_window, faults = [], [], {}, Counter[str]()
    asked: set[str] = set()
    for window in (DESKTOP, PHONE):
        for theme in THEMES:
            page = opened(browser, path, window=window, theme=theme, asked=asked)
            if axe:
                faults += access_faults(page, axe)
            if theme == "light":
                by_window[window] = page.evaluate(_MEASURES)
                top = by_window[window]["top"]
                tops.append(None if top is None else top / window[1])
            if window == DESKTOP:
                sheets.append(sheets_of(page.pdf(format="A4", print_background=True)))
            page.context.close()
    files = {Path(unquote(urlsplit(url).path)) for url in asked if url.startswith("file:")} - {path}
    return Measured(
        (tops[0], tops[1]),
        by_window[DESKTOP]["figures"],
        by_window[DESKTOP]["code"],
        by_window[PHONE]["label"],
        by_window[PHONE]["over"],
        path.stat().st_size,
        sum(file.stat().st_size for file in files if file.is_file()),
        (sheets[0], sheets[1]),
        faults,
    )


def opened(
    browser: Browser, path: Path, *, window: tuple[int, int], theme: str, asked: set[str] | None = None
) -> Page:
    """A page in a window of a size, in a theme; the addresses that it asks for join ``asked``."""
    width, height = window
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme="dark" if theme == "dark" else "light"
    )
    page = context.new_page()
    if asked is not None:
        page.on("request", lambda request: asked.add(request.url))
    page.goto(path.resolve().as_uri())
    page.wait_for_timeout(200)
    return page


def in_every_look(browser: Browser, path: Path) -> Iterator[tuple[Page, str]]:
    """A page on a desktop and on a phone, in light and in dark, with the theme; it is loaded once."""
    page = opened(browser, path, window=DESKTOP, theme="light")
    for width, height in (DESKTOP, PHONE):
        page.set_viewport_size({"width": width, "height": height})
        # The theme looks for what scrolls once the window has kept its size for a while.
        page.wait_for_timeout(800)
        for theme in THEMES:
            page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
            # A page without the theme's scripts, as that for a lost address, follows the browser at once.
            page.wait_for_function(
                "theme => [undefined, theme].includes(document.documentElement.dataset.theme)", arg=theme
            )
            page.wait_for_timeout(50)
            # Colours that still fade from one theme to the other are at their end at once.
            page.evaluate("document.getAnimations().forEach((one) => one.finish())")
            yield page, theme
    page.context.close()


def access_faults(page: Page, axe: str, *, rules: Sequence[str] = ()) -> Counter[str]:
    """What axe finds on an open page, nodes by rule.

    Args:
        page: the page.
        axe: axe's script.
        rules: the rules to look at; all, where none is given.
    """
    if not page.evaluate("'axe' in window"):
        page.evaluate(axe)
    how = {"resultTypes": ["violations"]} | ({"runOnly": list(rules)} if rules else {})
    found: dict[str, Any] = page.evaluate("how => axe.run(document, how)", how)
    return Counter({one["id"]: len(one["nodes"]) for one in found["violations"]})


def sheets_of(pdf: bytes) -> int:
    """How many pages a PDF has."""
    return len(re.findall(rb"/Type\s*/Page\b", pdf))
