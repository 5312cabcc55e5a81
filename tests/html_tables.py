"""HTML read by a parser, for tests."""

from __future__ import annotations

import base64
import csv
import io

from bs4 import BeautifulSoup


def parsed(markup: str) -> BeautifulSoup:
    return BeautifulSoup(markup, "html.parser")


def rows_of(markup: str) -> list[list[str]]:
    """The text of each cell of all tables, a list a row."""
    page = parsed(markup)
    for line_end in page.select("br"):
        line_end.replace_with(" ")
    return [
        [" ".join(cell.get_text().split()) for cell in row.select("th, td")]
        for row in page.select("table tr")
    ]


def csv_of(markup: str) -> list[list[str]]:
    """The one CSV file that a page holds within itself."""
    (link,) = parsed(markup).select('a[href^="data:text/csv;base64,"]')
    text = base64.b64decode(str(link["href"]).partition(",")[2]).decode()
    return list(csv.reader(io.StringIO(text)))
