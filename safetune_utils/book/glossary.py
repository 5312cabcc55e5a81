"""Words of the glossary, linked where a page uses them first."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from safetune_utils.places import data_folder

# What is not plain text in a line: code, links, roles.
_NOT_WORDS = re.compile(r"(\{[\w:]+\}`[^`]*`|`[^`]*`|\[[^\]]*\]\([^)]*\)|<[^>]*>)")
# Lines that are no sentence: headings, tables, blocks, options of a block.
_NO_SENTENCE = ("#", "|", "`", "<", ":", "{")


@lru_cache(maxsize=1)
def terms() -> tuple[str, ...]:
    """The words that the glossary explains, the longest first."""
    text = (data_folder().parent / "book" / "glossary.md").read_text("utf-8")
    inside = text.partition("```{glossary}")[2].partition("```")[0]
    found = [line.strip() for line in inside.splitlines() if line.strip() and not line.startswith(" ")]
    return tuple(sorted(found, key=len, reverse=True))


def link_first_uses(cells: Sequence[Any]) -> None:
    """Link the first use of each word in the sentences of a page's cells, which are changed."""
    left = {term: re.compile(rf"(?<![\w-]){re.escape(term)}s?(?![\w-])", re.IGNORECASE) for term in terms()}
    for cell in cells:
        if cell.cell_type == "markdown":
            cell.source = _linked(cell.source, left)


def _linked(text: str, left: dict[str, re.Pattern[str]]) -> str:
    """A text of Markdown with links; words that were linked are taken out of ``left``."""
    lines, fence = [], ""
    for line in text.split("\n"):
        marks = re.match(r"`{3,}|:{3,}", line)
        if marks and not fence:
            fence = marks[0]
        elif fence and line.startswith(fence):
            fence = ""
        elif not fence and not line.startswith(_NO_SENTENCE):
            line = "".join(
                part if number % 2 else _with_links(part, left)
                for number, part in enumerate(_NOT_WORDS.split(line))
            )
        lines.append(line)
    return "\n".join(lines)


def _with_links(text: str, left: dict[str, re.Pattern[str]]) -> str:
    for term, pattern in list(left.items()):
        if (found := pattern.search(text)) and "{term}" not in text[: found.end()][-80:]:
            del left[term]
            before, after = text[: found.start()], text[found.end() :]
            return f"{_with_links(before, left)}{{term}}`{found[0]} <{term}>`{_with_links(after, left)}"
    return text
