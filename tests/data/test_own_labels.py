"""The readers' labels of the book's own answers, and what is published of them."""

from __future__ import annotations

import importlib
from collections import Counter
from pathlib import Path

import pytest

from safetune_utils import data, places
from safetune_utils.data import Reading
from safetune_utils.errors import SafetuneError
from safetune_utils.scoring import refusal_rules
from safetune_utils.scoring.own_answers import readers_agree


def test_a_label_is_what_two_of_the_readers_say() -> None:
    for one in data.own_answers():
        first, second, *third = one.readers.values()
        assert first == second or third
        for label, found in zip(Reading._fields, one.found, strict=True):
            said = Counter(getattr(reader, label) for reader in one.readers.values())
            # Three readers, three classes: then it is between the two others.
            assert said[found] >= 2 or (label, found) == ("refusal", "partial_refusal")


def test_the_command_that_merges_gives_every_row_the_half_and_the_labels_that_it_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    labels = importlib.import_module("labels")
    for one in data.own_answers():
        assert labels.half({"prompt_set": one.prompt_set, "prompt_id": one.prompt_id}) == one.split
        assert labels.settled([*one.readers.values()]) == one.found
    disputed = next(one for one in data.own_answers() if len(one.readers) == 3)
    with pytest.raises(SafetuneError, match="no third has read"):
        labels.settled([*disputed.readers.values()][:2])


def test_no_prompt_is_in_both_halves() -> None:
    halves = {
        split: {data.normal_form(one.prompt) for one in data.own_answers(split)} for split in ("tune", "test")
    }
    assert all(len(prompts) > 40 for prompts in halves.values())
    assert not halves["tune"] & halves["test"]


def test_every_model_and_amount_was_read_on_every_prompt_set() -> None:
    answers = data.own_answers()
    sets = {one.prompt_set for one in answers}
    assert sets == data.PROMPT_SETS.keys() - {"hateful"}
    for source in {one.source for one in answers}:
        assert {one.prompt_set for one in answers if one.source == source} == sets


@pytest.mark.usefixtures("mirror")
def test_the_published_agreement_of_readers_is_that_of_the_files_and_high_enough() -> None:
    found = readers_agree(data.own_answers(), anchors=data.anchors(), xstest=data.xstest_completions())
    assert found == places.results("own_answers")["readers"]
    readers = {reader for one in data.own_answers() for reader in one.readers}
    assert found["xstest"].keys() == readers
    assert all(kappa[0] >= 0.8 for kappa in found["xstest"].values())


@pytest.mark.usefixtures("mirror")
def test_a_reader_who_was_not_held_against_people_is_no_reader() -> None:
    others = {
        name: {one: said for one, said in read.items() if one != "m"} for name, read in data.anchors().items()
    }
    with pytest.raises(SafetuneError, match=r"reader\(s\) m read none of XSTest's answers"):
        readers_agree(data.own_answers(), anchors=others, xstest=data.xstest_completions())


def test_the_rules_hold_on_wordings_that_they_were_not_changed_by() -> None:
    """Half of them were put aside before a rule was changed: rules find half of such refusals, no more."""
    rows = data.wordings("test")
    said = refusal_rules.score([row.prompt for row in rows], [row.response for row in rows])
    found = [one.value == 1 for one in said]
    refuses = [row.label != "compliance" for row in rows]
    assert len(rows) == 60
    assert sum(one and not real for one, real in zip(found, refuses, strict=True)) <= 5  # 7 before
    assert sum(real and not one for one, real in zip(found, refuses, strict=True)) <= 15


def test_the_published_counts_of_the_rules_on_styles_are_those_of_today_s_rules() -> None:
    published = places.results("refusal")["agreement"]
    styled = [*data.styled_responses("train"), *data.styled_responses("test")]
    for name, rows in (("style_left_out", styled), ("further_styles", data.further_styles())):
        said = refusal_rules.score([row.prompt for row in rows], [row.response for row in rows])
        pairs = Counter((row.label, one.label) for row, one in zip(rows, said, strict=True))
        table = [[pairs[people, rule] for rule in refusal_rules.LABELS] for people in refusal_rules.LABELS]
        assert table == published[f"{name}_by_rules"]["pairs"]
