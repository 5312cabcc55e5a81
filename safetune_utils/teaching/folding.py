"""What a student's book folds: a result stands behind a place to write down what one expects.

A result is marked where it is written: by :func:`result` where code writes it, by the same two comments in
a page of ``book/``. The first comment may ask what to expect, and that question then stands before the fold.
The other books have the same text without the marks.
"""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import nbformat

_MARKED = re.compile(
    r"<!-- result(?:: (?P<ask>.+?))? -->\n(?P<told>.*?)\n<!-- end of the result -->", re.DOTALL
)
# The paragraph of a chapter that tells what the paper found.
_PAPER = re.compile(r"^\*\*The paper's (?:answer|way)\.?\*\*.*?(?=\n\n|\Z)", re.MULTILINE | re.DOTALL)
_LOOK = "Look, when you have written down what you expect"
# What the line of a fold says, by the markup of what it holds.
_INSIDE = {
    "safetune-figure": "Look at the figure",
    "safetune-answers": "Look at some of the answers",
    "safetune-table": "Look at the table",
    "safetune-prose": "Read what was found",
}


def result(text: str, *, ask: str = "") -> str:
    """Markdown, marked as a result; nothing where there is none.

    Args:
        text: the result.
        ask: what a student is to expect of it, before it is looked at.
    """
    begins = f"<!-- result: {ask} -->" if ask else "<!-- result -->"
    return f"{begins}\n{text.strip()}\n<!-- end of the result -->" if text.strip() else ""


def without_marks(text: str) -> str:
    """Markdown with its results as they are, for the books that show them."""
    return _MARKED.sub(lambda found: found["told"], text)


def page(text: str) -> str:
    """A page as a student's book has it: each result folded, what a mark asks before it."""

    def folded(found: re.Match[str]) -> str:
        asked = f"{prediction(found['ask'])}\n\n" if found["ask"] else ""
        return asked + fold(found["told"], title=_LOOK)

    return _MARKED.sub(folded, text)


def fold(text: str, *, title: str) -> str:
    """Markdown under a line that opens it, which needs no JavaScript; it may hold folds itself."""
    fence = ":" * (1 + max([3, *map(len, re.findall(r"^:{3,}", text, re.MULTILINE))]))
    return f"{fence}{{dropdown}} {title}\n{text}\n{fence}"


def chapter(notebook: nbformat.NotebookNode, predict: str) -> None:
    """Fold what a chapter found: what its page begins with moves behind a place to write down what one
    expects, and every output that shows something and the paper's answer are folded where they stand.

    What the chapter asks, its headings and its limits stay open.

    Args:
        notebook: the chapter's page, with what it is for in its second cell.
        predict: what to write down.
    """
    import nbformat

    cells = notebook.cells
    found = [match["told"] for match in _MARKED.finditer(cells[0].source)]
    cells[0].source = _MARKED.sub("", cells[0].source)
    for cell in cells:
        if cell.cell_type == "markdown":
            cell.source = page(
                _PAPER.sub(lambda told: fold(told[0], title="What the paper found"), cell.source)
            )
        tags = cell.metadata.get("tags", [])
        if cell.cell_type == "code" and cell.outputs and not {"remove-output", "remove-cell"} & set(tags):
            cell.metadata["tags"] = [*dict.fromkeys([*(t for t in tags if t != "hide-input"), "hide-output"])]
            title = next((said for mark, said in _INSIDE.items() if mark in str(cell.outputs)), _LOOK)
            cell.metadata["mystnb"] = {"code_prompt_show": title, "code_prompt_hide": "Fold it again"}
    # Below the title and the head, before anything is shown.
    told = [prediction(predict), *(fold(one, title=_LOOK) for one in found)]
    cells.insert(2, nbformat.v4.new_markdown_cell("\n\n".join(told), id="safetune-predict"))


def prediction(ask: str) -> str:
    """A place to write down what one expects. What is written there is kept nowhere."""
    return (
        '<div class="safetune-predict">\n<p><strong>Before you look.</strong> '
        f'<label for="prediction">{escape(ask)}</label></p>\n'
        '<textarea id="prediction" rows="3" aria-describedby="prediction-note"></textarea>\n'
        '<p id="prediction-note"><small>Write it here or on paper, with a reason. It is kept until you leave'
        " this page, and sent nowhere.</small></p>\n</div>"
    )
