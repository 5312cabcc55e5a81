"""Words that readers stumble over do not stand in what they read: pages, notebooks, captions, the README.

A *figure* is a drawing and a *number* a value. What a reader misread is added here, beside what is said now.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

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
    r"\bherein|thereof|whereby|heretofore|inasmuch\b": "a plain word",
    r"\b(?:utili[sz]e|leverage|in order to|due to the fact)\b": "use, to, because",
}
# Pages that others own at present are held by their own words.
LATER = {"book/survives.md", "book/instruments.md", "notebooks/11_harmfulness_model.ipynb"}


def read_by_people() -> Iterator[tuple[str, str]]:
    """Each text that a reader of the book reads, with where it stands."""
    for path in sorted([*(ROOT / "book").glob("*.md"), ROOT / "README.md"]):
        yield str(path.relative_to(ROOT)), re.sub(r"```.*?```", "", path.read_text("utf-8"), flags=re.DOTALL)
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        for cell in json.loads(path.read_text("utf-8"))["cells"]:
            text = "".join(cell["source"])
            if cell["cell_type"] == "markdown" or text.startswith("%%prose"):
                yield str(path.relative_to(ROOT)), text
            else:
                captions = re.findall(r'caption=f?"(.*?)"', text)
                yield str(path.relative_to(ROOT)), "\n".join(captions)


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
    ],
)
def test_the_list_finds_what_it_names(said: str) -> None:
    assert any(re.search(pattern, said) for pattern in INSTEAD)


@pytest.mark.parametrize(
    "said", ["The paper's Figure 1.", "Every figure and table", "one line per adapter", "the main figure"]
)
def test_the_list_leaves_good_words_alone(said: str) -> None:
    assert not any(re.search(pattern, said) for pattern in INSTEAD)
