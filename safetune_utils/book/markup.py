"""HTML of the book: templates that escape whatever is put into them, and blocks of it in Markdown pages."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup

if TYPE_CHECKING:
    from bs4 import BeautifulSoup


class Link(NamedTuple):
    """A link in a text."""

    text: str
    href: str


class Code(NamedTuple):
    """Code in a text."""

    code: str


# What a cell or a paragraph says: plain text, a link, code, or several of these in a row.
Text = str | int | Link | Code | Sequence["str | Link | Code"]


class Cell(NamedTuple):
    """A cell of a table that is more than a text.

    Attributes:
        text: what it says.
        small: in small print beside that.
        below: in small print, on a line of its own.
        strong: whether the text is in bold type.
    """

    text: Text
    small: str = ""
    below: Text = ""
    strong: bool = False


# A row of a table, the head first.
Row = Sequence[Text | Cell]


def parsed(markup: str) -> BeautifulSoup:
    """A page, or a part of one, to look for things in."""
    from bs4 import BeautifulSoup  # here, for most commands read no page, and it takes half a second

    return BeautifulSoup(markup, "html.parser")


def render(template: str, **values: Any) -> Markup:
    """A template of ``book/templates`` with these values; all but ``Markup`` is escaped."""
    return Markup(_environment.get_template(f"{template}.html").render(values).strip())


def table(
    columns: Row,
    rows: Sequence[Row],
    *,
    caption: str = "",
    name: str = "",
    csv: str = "",
    kind: str = "",
    wide: bool = False,
) -> Markup:
    """A table; the first cell of each row is its head.

    Args:
        columns: the heads of the columns; none for a table of two columns that need no heads.
        rows: the cells.
        caption: what stands above it, with a link to its numbers.
        name: the name of the file of its numbers, without its ending.
        csv: its numbers; needed with a caption.
        kind: one more class of its looks.
        wide: whether it scrolls by itself where the page is narrow.
    """
    return render(
        "table", columns=columns, rows=rows, caption=caption, name=name, csv=csv, kind=kind, wide=wide
    )


def paragraph(said: Text) -> Markup:
    """A paragraph of plain text."""
    return render("paragraph", said=said)


def marked(text: str) -> Markup:
    """A line of our own Markdown as HTML; never for a text that comes from elsewhere."""
    return Markup(MarkdownIt("commonmark", {"html": False}).renderInline(text))


def block(*markup: str) -> str:
    """HTML as a block of a Markdown page of the book; nothing in it is read as Markdown."""
    inside = "\n".join(markup)
    fence = "`" * (1 + max([2, *map(len, re.findall("`+", inside))]))
    return f"{fence}{{raw}} html\n{inside}\n{fence}\n"


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


_environment = Environment(
    loader=PackageLoader("safetune_utils.book"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.filters |= {"base64": _base64, "marked": marked}
