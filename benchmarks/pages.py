"""What a reader meets on the pages of built books: the way to a figure, faults of access, weights, paper.

Several books, such as one from before a change and one from after it, are measured side by side.

    python benchmarks/pages.py before/html after/html [--axe axe.min.js] [--only 01 welcome]

Needs Chromium, and for the faults of access the script of axe-core (`npm ci --prefix tests/axe`).
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections import Counter
from pathlib import Path

from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from page_measures import Measured, measure


def _said(measured: Measured) -> str:
    screens = "/".join("  – " if one is None else f"{one:4.1f}" for one in measured.screens)
    label = "  – " if measured.label is None else f"{measured.label:4.1f}"
    return (
        f"{screens}  {measured.figures:4.0%} {measured.code:4.0%}  {label}  {max(0, measured.over):4d}"
        f"  {measured.bytes / 1e6:5.2f} {measured.shared / 1e6:5.2f}"
        f"  {measured.sheets[0]:2d}/{measured.sheets[1]:2d}  {measured.faults.total():4d}"
    )


def main() -> None:
    """Measure the books of the command line and print a line a page."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("books", nargs="+", type=Path, help="folders of built pages")
    asked.add_argument("--axe", type=Path, help="axe.min.js of axe-core")
    asked.add_argument("--only", nargs="*", default=[""], help="pages whose names begin so")
    given = asked.parse_args()
    axe = given.axe.read_text("utf-8") if given.axe else ""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    print(f"{'':38}screens      fig. code  label over  page  shared A4     axe")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for book in given.books:
            print(book)
            rules: Counter[str] = Counter()
            for path in sorted([*book.glob("*.html"), *book.glob("*/*.html")]):
                place = path.relative_to(book)
                if place.parts[0].startswith("_") or not path.name.startswith(tuple(given.only)):
                    continue
                found = measure(browser, path, axe=axe)
                rules += found.faults
                print(f"  {place!s:34}{_said(found)}", flush=True)
            print(f"  faults of access by rule: {dict(rules.most_common())}")
        browser.close()


if __name__ == "__main__":
    main()
