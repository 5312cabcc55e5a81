"""A chapter's page: the result first, how it was run last, and nothing of the notebook lost on the way."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from estimates import change, share
from executed_copy import displayed, executed, recording
from html_tables import parsed

from safetune_utils.book import chapter_page, chapters, folds, run_card, verdicts
from safetune_utils.book.chapters import Chapter
from safetune_utils.errors import SafetuneError

CHAPTER = Chapter("01_safety_amount", "01", "How much?", ("steps",), (), (), "It is {{ malicious_last }}.")
BODY = """## What was seen

Words.

```bash
## no heading
```

## What this shows and what it does not

Limits.

## Try it

Try."""


def written(path: Path, *cells: nbformat.NotebookNode) -> Path:
    """An executed copy with further cells."""
    notebook = nbformat.read(path, as_version=4)
    notebook.cells += cells
    nbformat.write(notebook, path)
    return path


@pytest.fixture
def long_copy(copy: Path) -> Path:
    """The copy with a banner, a section of the run before and sections of all kinds after its figure."""
    notebook = nbformat.read(copy, as_version=4)
    title, code = notebook.cells
    title.source = "# How much?\n\nThe question."
    banner = nbformat.v4.new_code_cell(
        "folds.banner(study)", outputs=[displayed({"text/html": '<div class="safetune-banner">small</div>'})]
    )
    code.source, code.metadata["tags"] = "x = '```'", ["hide-input"]
    plan = nbformat.v4.new_code_cell(
        "tables.plan_table(study)", outputs=[displayed({"text/html": "<p>the plan</p>"})]
    )
    prose = nbformat.v4.new_code_cell("%%prose\nSaid.", outputs=[displayed({"text/html": "<p>Said.</p>"})])
    hidden = nbformat.v4.new_code_cell("run(study)", outputs=[displayed({"text/html": "<p>progress</p>"})])
    hidden.metadata["tags"] = ["remove-output"]
    notebook.cells = [
        title,
        nbformat.v4.new_markdown_cell("## Parameters\n\nAbout them."),
        banner,
        plan,
        nbformat.v4.new_markdown_cell("## What the models do"),
        hidden,
        code,
        prose,
        nbformat.v4.new_markdown_cell(BODY),
    ]
    nbformat.write(notebook, copy)
    return copy


def test_the_page_begins_with_the_result_and_ends_with_the_run(long_copy: Path) -> None:
    page = chapter_page.page(long_copy, chapter=CHAPTER)
    text = "\n".join(
        [cell.source if cell.cell_type == "markdown" else str(cell.outputs) for cell in page.cells]
    )
    order = [
        "# 1. How much?",
        "to read",
        "It is 50 % (40 to 60 %, n = 98).",
        'id="figure-steps"',
        "The question.",
        "safetune-banner",
        "## What the models do",
        '"#figure-steps"',
        "Said.",
        "## What was seen",
        "## How to read this number",
        "of 98 scored answers so many of 100",
        "## What this shows and what it does not",
        "## How it was run",
        "safetune run 01 --preset smoke",
        "01_safety_amount.executed.ipynb",
        "**Parameters**",
        "the plan",
        "**Try it**",
        "folds.banner(study)",
        "01_safety_amount.run.json",
    ]
    places = [text.find(part) for part in order[:-1]] + [text.rfind(order[-1])]
    assert places == sorted(places)
    assert -1 not in places
    assert "progress" not in text
    assert text.count("## no heading") == 1
    assert text.count('id="figure-steps"') == 1
    code = [cell for cell in page.cells if cell.cell_type == "code"]
    assert all("remove-input" in cell.metadata["tags"] for cell in code)
    assert "%%prose" not in page.cells[-1].source


def test_all_that_a_notebook_shows_is_on_its_page(copy: Path) -> None:
    page = chapter_page.page(copy, chapter=CHAPTER._replace(figures=()))
    shown = "".join(
        o.data.get("text/html", "") for cell in page.cells for o in cell.get("outputs", []) if "data" in o
    )
    assert 'id="figure-steps"' in shown
    assert "numbers" in parsed(shown).get_text()


def test_the_verdict_on_the_paper_s_claim_stands_at_the_head(copy: Path) -> None:
    (claim, other) = verdicts.claims()[:2]
    judged = [
        verdicts.Judged(claim, CHAPTER.name, None, verdicts.Verdict("same direction", "p below 0.001")),
        verdicts.Judged(other, "02_another", None, verdicts.Verdict("not attempted", "")),
    ]
    head = parsed(chapter_page.page(copy, chapter=CHAPTER, judged=judged).cells[0].source)
    (line,) = head.select(".safetune-verdict-lines li")
    assert f"The paper's claim {claim.number}: “{claim.claim}” Here: same direction" in line.get_text()


def test_a_headline_that_names_what_was_not_recorded_is_an_error(copy: Path) -> None:
    with pytest.raises(
        SafetuneError, match=r"01_safety_amount, headline in its metadata: .*'malicious_lost'"
    ):
        chapter_page.page(copy, chapter=CHAPTER._replace(headline="{{ malicious_lost }}"))


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (change(0.3, 0.2, 0.4), "the share moved by so many points of 100"),
        (share(0.5, 0.4, 0.6), "scored answers so many of 100"),
        ("some words", "the true value lies in about 95 of 100"),
    ],
)
def test_how_to_read_fits_the_kind_of_number(copy: Path, value: object, told: str) -> None:
    cell = nbformat.v4.new_code_cell("2", outputs=recording(found=value))  # type: ignore[arg-type]
    page = chapter_page.page(written(copy, cell), chapter=CHAPTER._replace(headline="{{ found }}"))
    (text,) = [one.source for one in page.cells if one.source.startswith("## How to read this number")]
    assert told in text


def test_a_copy_without_a_record_has_a_page_too(tmp_path: Path, source: Path) -> None:
    path = executed(tmp_path / "e", source, malicious=share(0.5, 0.4, 0.6), recorded=False)
    page = chapter_page.page(path, chapter=CHAPTER, changes=["all of it"])
    assert "there is no record of it" in page.cells[-1].source
    assert "safetune-stale" in page.cells[0].source


def test_every_chapter_has_a_headline() -> None:
    for chapter in chapters.chapters():
        assert "{{ " in chapter.headline, chapter.name


def test_the_card_has_what_differs_from_the_preset_beside_the_paper(tmp_path: Path, source: Path) -> None:
    path = executed(tmp_path / "e", source, malicious=share(0.5, 0.4, 0.6))
    assert "All parameters are those of the preset smoke." in run_card.card(path)
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata["safetune"]["settings"]["seeds"] = [1, 2]
    notebook.metadata["safetune"]["settings"]["recipe"]["lora_rank"] = 16
    nbformat.write(notebook, path)
    rows = [
        [cell.get_text() for cell in row.find_all(["th", "td"])]
        for row in parsed(run_card.card(path)).select("tbody tr")
    ]
    assert sorted(rows) == [
        ["recipe.lora_rank", "whole number", "from 1 to 256", "16", "4"],
        ["seeds", "list of whole numbers", "", "[1, 2]", "[0]"],
    ]


def test_the_command_can_be_pasted_into_a_terminal() -> None:
    given = {"preset": "smoke", "seeds": [0, 1], "data": "my data", "decoding": {"guard": "Don't."}}
    assert run_card.command("01_safety_amount", given) == (
        "safetune run 01 --preset smoke -p seeds '[0, 1]' -p data 'my data'"
        """ -p decoding '{"guard": "Don'"'"'t."}'"""
    )


def test_prompts_and_answers_are_left_out_of_the_copy_to_download(copy: Path) -> None:
    answers = folds.folded([("A prompt", "a harmful answer")], summary="Show").data
    path = written(
        copy,
        nbformat.v4.new_code_cell(
            "2", outputs=[displayed({"text/html": answers, "text/plain": "a harmful answer"})]
        ),
    )
    text = chapter_page.executed_download(path)
    assert "a harmful answer" not in text
    assert "run the notebook to see them" in text
    assert "figure-steps" in text
