"""The data pages: every set has its card, embedded rows are escaped, and not a row of an outside set is
shown.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from html_tables import rows_of
from markupsafe import escape

from safetune_utils import data, places
from safetune_utils.book.generated import data_cards
from safetune_utils.data import question_forms


@pytest.fixture(scope="module")
def parts() -> dict[str, str]:
    return data_cards.parts()


def test_every_set_has_a_line_and_a_card(parts: dict[str, str]) -> None:
    for name in data.CORPUS:
        assert f"## corpus/{name}\n" in parts["data_embedded_cards"]
        assert f">{name}</a>" in parts["data_overview"]
    for name, entry in data.registered_sets().items():
        assert f"## {name}\n" in parts["data_outside_cards"]
        assert f">{name}</a>" in parts["data_overview"]
        assert parts["data_outside_cards"].count(entry.commit[:12]) >= 1
    for other in (*data.benchmarks(), *data.not_released()):
        assert other["name"] in parts["data_overview"]


def test_embedded_rows_are_folded_and_escaped(parts: dict[str, str]) -> None:
    first = data.corpus_rows("malicious")[0]["instruction"]
    before, after = parts["data_embedded_cards"].split(escape(first[:40]), 1)
    assert before.rindex("<details") > before.rindex("</details>")
    assert "</details>" in after


def test_no_text_of_an_outside_set_is_on_a_page_or_in_the_results(
    parts: dict[str, str], mirror: Path
) -> None:
    published = (
        parts["data_outside_cards"]
        + parts["data_paper_overlap"]
        + (places.data_folder() / "results" / f"{data_cards.RESULTS}.json").read_text("utf-8")
    )
    for name in (
        "I-MaliciousInstructions",
        "I-CoNa",
        "I-Controversial",
        "Q-Harm",
        "safety-instructions",
        "XSTest",
        "CoCoNot-contrast",
    ):
        rows = data.read_table(data.fetch(name)).rows
        texts = {row.get("instruction") or row["prompt"] for row in rows}
        assert not [text for text in texts if text in published]


def test_the_published_counts_are_those_of_today(mirror: Path) -> None:
    results = json.loads((places.data_folder() / "results" / f"{data_cards.RESULTS}.json").read_text("utf-8"))
    assert results["rewriting_version"] == question_forms.VERSION
    assert results["question_forms"] == data.question_counts(data.safety_examples("paper-sample"))
    assert results["overlaps"] == data.overlaps("paper-sample")
    shape = data.outside_shape(data.registered_sets()["I-MaliciousInstructions"])
    assert (shape.rows, shape.distinct, shape.topics) == (100, 98, {"hate": 66, "crime": 34})
    assert results["shapes"]["I-MaliciousInstructions"]["topics"] == shape.topics


def test_overlap_tables_show_what_was_counted(parts: dict[str, str]) -> None:
    paper, embedded = (
        parts[name].replace("\u00a0", " ") for name in ("data_paper_overlap", "data_embedded_overlap")
    )
    row = ["Q-Harm: malicious questions", "100", "0 / 0 (68)", "0 / 0 (83)", "1 / 0 (100)"]
    assert row in rows_of(paper)
    assert embedded.count(">0 / 0 (") == 27
    assert (
        "2,116 were rewritten as questions by rule, and 367 (15 %) no rule could rewrite"
        in parts["data_questions"]
    )
