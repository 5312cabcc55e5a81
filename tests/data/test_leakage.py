"""Test prompts that are also trained on: exact and near copies, in both forms."""

from __future__ import annotations

from pathlib import Path

from safetune_utils import data
from safetune_utils.data.rows import normal_form


def test_exact_and_near_copies_are_found_in_both_forms() -> None:
    train = [
        data.Example(id="a", instruction="Explain how rain forms.", output="…"),
        data.Example(
            id="b",
            instruction="Write a short poem about an autumn evening by the lake.",
            question="How does a bee find its way home?",
            output="…",
        ),
    ]
    test = [
        data.Prompt(id="exact", text="  explain how: RAIN forms"),
        data.Prompt(id="question", text="How does a bee find its way home?"),
        data.Prompt(id="near", text="Write a short poem about an autumn morning by the lake."),
        data.Prompt(id="other", text="List three uses of a paper clip."),
    ]
    found = data.overlap(train, test)
    assert found.exact == data.exact_copies(train, test) == ["exact", "question"]
    assert found.near == ["near"]
    assert {copy.test_id: copy.train_id for copy in found.copies} == {
        "exact": "a",
        "question": "b",
        "near": "b",
    }
    assert (found.n_train, found.n_test, found.highest) == (2, 4, 100.0)
    assert data.overlap(train, test, at_least=99).near == []


def test_copies_are_found_behind_the_first_chunk() -> None:
    train = [
        data.Example(
            id=f"r{n}", instruction=f"Count the beads of heap number {n} and write the sum.", output="…"
        )
        for n in range(4500)
    ]
    found = data.overlap(
        train, [data.Prompt(id="x", text="Count the beads of heap number 4321 and write the sum.")]
    )
    assert [(copy.train_id, copy.exact) for copy in found.copies] == [("r4321", True)]


def test_no_test_prompt_of_the_embedded_corpus_is_trained_on() -> None:
    rows = data.overlaps("embedded")
    assert len(rows) == 27
    assert all(row["exact"] == row["near"] == 0 for row in rows)


def test_the_paper_s_safety_file_repeats_some_of_its_test_prompts(mirror: Path) -> None:
    found = {(row["train"], row["test"]): row for row in data.overlaps("paper-sample")}
    assert found["safety", "malicious"]["prompts"] == 100
    assert (found["general", "ordinary"]["title"], found["general", "ordinary"]["exact"]) == ("I-Alpaca", 2)


def test_the_normal_form_of_a_request_is_one_and_keeps_its_punctuation_where_that_counts() -> None:
    assert normal_form(" Say:\tit's\n5 o'clock ") == "say: it's 5 o'clock"
    assert normal_form(" Say: it's -- 5 ", punctuation=False) == "say it s 5"
