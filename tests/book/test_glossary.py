"""Words of the glossary are linked at their first use, in sentences and nowhere else."""

from __future__ import annotations

import re

import nbformat

from safetune_utils.book import glossary

PAGE = """# An adapter

An Adapter for each seed, and *a safety example*; `mix` and [a mix](x.md).

```bash
a mix
```

| mix |
|---|

Two mixes of safety examples, by general examples. Mixed up."""


def linked(*texts: str) -> list[str]:
    cells = [nbformat.v4.new_markdown_cell(text) for text in texts]
    glossary.link_first_uses(cells)
    return [cell.source for cell in cells]


def test_a_word_is_linked_once_and_only_in_a_sentence() -> None:
    page, after = linked(PAGE, "Another adapter and an amount.")
    assert "# An adapter\n" in page
    assert "An {term}`Adapter <adapter>` for each {term}`seed <seed>`" in page
    assert "*a {term}`safety example <safety example>`*; `mix` and [a mix](x.md)." in page
    assert "```bash\na mix\n```\n\n| mix |" in page
    assert "{term}`general examples <general examples>`. Mixed up." in page
    assert "of safety examples" in page  # its second use
    assert after == "Another adapter and an {term}`amount <amount>`."


def test_what_is_linked_is_in_the_glossary_and_every_entry_has_a_text() -> None:
    assert "adapter" in glossary.terms()
    assert "safety example" in glossary.terms()
    text = " ".join(linked(" ".join(f"The {term} is there." for term in glossary.terms())))
    assert set(re.findall(r"\{term\}`[^<`]*<([^>]*)>`", text)) == set(glossary.terms())
