"""The chapters of a built site as PDF, printed by a Chromium of this machine.

What is printed is the page as the style sheet has it for paper, always in light, without scripts, and with no
link to a file of this machine.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urljoin

from safetune_utils.book.markup import parsed, render
from safetune_utils.errors import SafetuneError

FOLDER = "pdf"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# No sandbox: in containers and as root there is none to be had, and these pages are ours and run no script.
_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--no-pdf-header-footer",
    "--generate-pdf-document-outline",
)  # fmt: skip
_LONGEST = 120  # seconds for one page, which takes one or two


def browser() -> str | None:
    """The browser that prints; ``None`` where none of :data:`BROWSERS` is found."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def add(output: Path, names: Sequence[str], *, browser: str, site: str = "") -> None:
    """Print chapters into ``pdf/`` of a built site, and give each page a link to its file.

    Args:
        output: the site.
        names: of the chapters.
        browser: from :func:`browser`.
        site: the address where it will be read; without one a link to another page is printed as its text.

    Raises:
        SafetuneError: the browser printed nothing.
    """
    (output / FOLDER).mkdir(exist_ok=True)
    for name in names:
        page = output / "notebooks" / f"{name}.html"
        text = page.read_text("utf-8")
        address = f"{site.removesuffix('/')}/notebooks/{name}.html" if site else ""
        # Beside the page, so that its style sheets are found.
        copy = page.with_name(f"{name}.for-paper.html")
        copy.write_text(for_paper(text, address=address), "utf-8")
        try:
            _print(copy, output / FOLDER / f"{name}.pdf", browser=browser)
        finally:
            copy.unlink()
        without, with_link = (render("downloads", name=name, pdf=pdf) for pdf in ("", FOLDER))
        page.write_text(text.replace(without, with_link), "utf-8")


def for_paper(page: str, *, address: str) -> str:
    """A page as it is printed: light, without scripts, its links to other pages under its ``address``, or,
    where that is empty, as text alone.
    """
    found = parsed(page)
    for script in found.find_all("script"):
        script.decompose()
    if found.html:
        found.html["data-theme"] = "light"
    for link in found.select('a[href]:not([href^="#"])'):
        leads_to = urljoin(address, str(link["href"]))
        if leads_to.startswith(("https://", "http://", "mailto:")):
            link["href"] = leads_to
        else:
            del link["href"]
    return str(found)


def _print(page: Path, target: Path, *, browser: str) -> None:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        own = (f"--user-data-dir={profile}", f"--print-to-pdf={target.resolve()}", page.resolve().as_uri())
        try:
            done = subprocess.run(
                [browser, *_FLAGS, *own], capture_output=True, text=True, errors="replace", timeout=_LONGEST
            )
            told = done.stderr.strip().rpartition("\n")[2]
        except subprocess.TimeoutExpired:
            told = f"not done in {_LONGEST} seconds"
    if not target.is_file():
        raise SafetuneError(f"{browser} did not print {target.name} ({told}): leave out --pdf")
