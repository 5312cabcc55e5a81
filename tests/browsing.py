"""Pages driven in a real browser: what the tests of the review page and of the comparison page share."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

# Every text that is seen with its contrast to its ground.
CONTRAST = """() => {
    const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
    const light = (colour) => {
        const linear = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        const [r, g, b] = parts(colour).map((v) => linear(v / 255));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ground = (element) => {
        for (let e = element; e; e = e.parentElement) {
            const colour = getComputedStyle(e).backgroundColor;
            if (parts(colour)[3] !== 0) return colour;
        }
        return "rgb(255, 255, 255)";
    };
    const found = [];
    for (const element of document.querySelectorAll("body, body *")) {
        const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
        if (!(own || element.matches("input, textarea"))) continue;
        if (element.matches("script, noscript, .aside") || !element.checkVisibility()) continue;
        const both = [light(getComputedStyle(element).color), light(ground(element))];
        const [low, high] = both.sort((a, b) => a - b);
        const name = `${element.tagName} ${element.id} ${element.textContent.slice(0, 30)}`;
        found.push([(high + 0.05) / (low + 0.05), name]);
    }
    return found;
}"""


@contextmanager
def opening(browser: Browser, path: Path) -> Iterator[Callable[..., Page]]:
    """Opens HTML from a file. At the end nothing may have gone wrong in it or been asked of any network."""
    faults: list[str] = []
    asked: list[str] = []
    contexts = []

    def open_page(html: str, *, script: str = "", **context: Any) -> Page:
        path.write_text(html, "utf-8")
        contexts.append(browser.new_context(**context))
        page = contexts[-1].new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        if script:
            page.add_init_script(script)
        page.goto(path.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not faults, faults
    assert [url for url in asked if not url.startswith(("file://", "blob:"))] == []
    assert {Path(url).name for url in asked if url.startswith("file://")} <= {path.name}


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def export(page: Page, folder: Path) -> Path:
    with page.expect_download() as download:
        press(page, "x")
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


def leave_and_return(page: Page) -> list[str]:
    """Reload, going along with whatever the page asks; the kinds of what it asked."""
    asked: list[str] = []

    def answer(dialog: Any) -> None:
        asked.append(dialog.type)
        dialog.accept()

    page.on("dialog", answer)
    page.wait_for_timeout(300)  # the browser itself writes what a page keeps a moment later
    there = page.evaluate("localStorage.length")
    page.reload()
    # Seen where every core is busy: Chromium hands a page from a file an empty storage; the next load has it
    # again.
    if page.evaluate("localStorage.length") < there:
        page.reload()
    page.remove_listener("dialog", answer)
    return asked


def another_tab(page: Page, *, script: str = "") -> Page:
    """The same page a second time, sharing its storage; again if a busy browser did not connect the two at
    first.
    """
    other = page.context.new_page()
    other.add_init_script(script)
    for attempt in range(4):
        other.goto(page.url)
        page.evaluate("(attempt) => localStorage.setItem('probe', attempt)", attempt)
        page.wait_for_timeout(200)
        if other.evaluate("localStorage.probe") == str(attempt):
            return other
        page.reload()
    raise AssertionError("two tabs of one browser do not share a storage")


def got_through(browser: Browser, path: Path, html: str) -> set[str]:
    """What a script let loose in a page can do: ``network`` requests, written ``markup``, ``script`` in such
    markup.
    """
    hits: set[str] = set()

    class Listener(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            hits.add(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Listener)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    path.write_text(html, "utf-8")
    page = browser.new_page()
    try:
        page.goto(path.as_uri())
        page.evaluate(
            """async (address) => {
                for (const tag of ["img", "iframe", "script"]) {
                    const element = document.createElement(tag);
                    try { element.src = `${address}/${tag}`; document.body.append(element); } catch {}
                }
                const markup = '<i id="written"></i><img src="x" onerror="window.ran = 1">';
                try { document.body.innerHTML += markup; } catch {}
                try { await fetch(`${address}/fetch`, { mode: "no-cors" }); } catch {}
            }""",
            f"http://127.0.0.1:{server.server_port}",
        )
        page.wait_for_timeout(500)
        assert hits in (set(), {"/img", "/iframe", "/script", "/fetch"})
        through = {
            "network": bool(hits),
            "markup": page.locator("#written").count() > 0,
            "script": page.evaluate("window.ran") == 1,
        }
    finally:
        page.close()
        server.shutdown()
        server.server_close()
    return {name for name, done in through.items() if done}
