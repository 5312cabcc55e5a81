"""Words that readers stumble over do not stand in what they read: pages, notebooks, captions, quizzes,
the README, and the strings from which the package makes pages.

A *figure* is a drawing and a *number* a value. What a reader misread is added here, beside what is said now.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from functools import cache

import pytest

from safetune_utils.places import data_folder

ROOT = data_folder().parent

# What is not said, and what is said instead.
INSTEAD = {
    r"\b(?:paper's|authors'|absolute|low|high|single|exact|own) figures?\b(?! \d)": "number",
    r"\bfigures (?:of|by|for) (?!the (?:paper|book|page)s?\b)\w+": "numbers",
    r"\b(?:its|such|these|those) figures? (?:for|is|are|lies|in the last)\b": "number",
    r"\b(?:A|a) figure such as\b": "a number such as",
    r"\b(?:one|for one) figure:": "number",
    r"\bone (?:line|row|bar|point|mark|column|dot) an? [a-z]": "one line per …",
    r"\bsmallest change (?:from .* )?that .* would show\b": "the smallest change we could detect",
    r"\bis not made again\b|\bare not made again\b": "finished runs are reused",
    r"\b[Tt]he instrument errs\b": "the scorer makes mistakes",
    r"\b[Mm]end(?:s|ed)?\b": "correct, repair",
    # What two fresh readers misread on 2026-11-29: idioms, and short forms that stand for a whole sentence.
    r"\b(?:told (?:by|from|apart)|not to be told|(?:is|are) told in)\b": "decided, found, seen to differ",
    r"\b(?:were|was|is|are) asked of\b": "tested on",
    r"\bh[eo]ld (?:\w+ )?against\b": "compared with",
    r"\bcounts? against\b": "looks less safe than it is",
    r"\b(?:whole|same|of the|the) road\b": "all steps, the whole study",
    r"\bno people\b|\bwhich side is whose\b": "programs in place of people, which model wrote which answer",
    r"\bthe least that\b|\ba floor\b": "at least, a minimum",
    r"\bbeside the point\b|\bgo along\b": "does not fit the request, do what is asked",
    r"\bout of (?:its|their) depth\b|\bno fault by itself\b": "cannot be relied on, is not wrong",
    r"\bread (?:twice|under)\b": "scored twice, scored with",
    r"\bthe same square\b|\b[Tt]he very topic\b": "the next figure, exactly this",
    r"\b(?:is|are) known by (?:the|its)\b|\bbut for\b": "identified by, except for",
    r"\bseen to lose\b|\bfree of method\b": "no loss was seen, names no method",
    r"\ba text at all\b|\bas others quote it\b|\bfair race\b": "readable text, others quote, compared fairly",
    r"\b[Ww]here (?:there (?:is|are)|not\b|nearly|nothing was|both always|(?:all|each) prompts?)\b": "if",
    r"\bherein|thereof|whereby|heretofore|inasmuch\b": "a plain word",
    r"\b(?:utili[sz]e|leverage|in order to|due to the fact)\b": "use, to, because",
}
# A page that is being written is held by its own words.
LATER = {"book/survives.md"}


@cache
def read_by_people() -> list[tuple[str, str]]:
    """Each text that a reader of the book reads, with where it stands."""
    return list(_read_by_people())


def _read_by_people() -> Iterator[tuple[str, str]]:
    pages = [*(ROOT / "book").glob("*.md"), *(ROOT / "book" / "teach").glob("*.md")]
    quizzes = (ROOT / "book" / "quizzes").glob("*.yml")
    for path in sorted([*pages, *quizzes, ROOT / "README.md", ROOT / "data" / "README.md"]):
        yield str(path.relative_to(ROOT)), re.sub(r"```.*?```", "", path.read_text("utf-8"), flags=re.DOTALL)
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        for cell in json.loads(path.read_text("utf-8"))["cells"]:
            text = "".join(cell["source"])
            if cell["cell_type"] == "markdown" or text.startswith("%%prose"):
                yield str(path.relative_to(ROOT)), text
            else:
                captions = re.findall(r'caption=f?"(.*?)"', text)
                yield str(path.relative_to(ROOT)), "\n".join(captions)
    for path in sorted((ROOT / "safetune_utils" / "book").rglob("*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
                yield str(path.relative_to(ROOT)), node.value


@pytest.mark.parametrize("pattern", INSTEAD)
def test_what_readers_misread_is_said_in_other_words(pattern: str) -> None:
    found = [
        f"{where}: …{text[max(0, hit.start() - 40) : hit.end() + 20]}…"
        for where, text in read_by_people()
        if where not in LATER
        for hit in re.finditer(pattern, text)
    ]
    assert not found, f"say instead: {INSTEAD[pattern]}\n" + "\n".join(found)


@pytest.mark.parametrize(
    "said",
    [
        "The paper's figure is .5.",
        "A figure such as 41",
        "with one line an adapter",
        "The instrument errs, and",
        "That mends it.",
        "the smallest change from a to b that these prompts would show",
        "A refusal is told by an instrument",
        "the instruments were asked of answers",
        "this page has nothing to be held against",
        "two stand-ins who are no people",
        "of seeds, where there are several",
    ],
)
def test_the_list_finds_what_it_names(said: str) -> None:
    assert any(re.search(pattern, said) for pattern in INSTEAD)


@pytest.mark.parametrize(
    "said",
    [
        "The paper's Figure 1.",
        "Every figure and table",
        "one line per adapter",
        "the main figure",
        "the point where a curve levels off",
    ],
)
def test_the_list_leaves_good_words_alone(said: str) -> None:
    assert not any(re.search(pattern, said) for pattern in INSTEAD)
