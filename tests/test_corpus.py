"""The embedded corpus: schema, counts, ids, balance, and nothing shared between training and test."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pytest
from rapidfuzz import fuzz, process

from safetune_utils.data import corpus_rows
from safetune_utils.places import data_folder

TOPICS = {
    "hatred",
    "bullying",
    "violence",
    "weapons",
    "theft_fraud",
    "drugs",
    "self_harm",
    "privacy",
    "health_misinformation",
    "election_misinformation",
    "computer_misuse",
    "immigration",
}
TEST_ONLY = {"animal_cruelty", "cheating"}

# set -> (least number of rows, fields in order, fields that are prompts)
SETS = {
    "general": (500, ["id", "topic", "task", "instruction", "input", "output"], ["instruction"]),
    "safety": (
        240,
        ["id", "topic", "style", "question", "instruction", "output"],
        ["question", "instruction"],
    ),
    "contrast": (100, ["id", "type", "topic", "trigger", "instruction", "output"], ["instruction"]),
    "questions": (36, ["id", "topic", "question"], ["question"]),
    "malicious": (80, ["id", "topic", "question", "instruction"], ["question", "instruction"]),
    "controversial": (40, ["id", "topic", "instruction", "opinion"], ["instruction", "opinion"]),
    "physical_safety": (40, ["id", "topic", "safe", "unsafe"], ["safe", "unsafe"]),
    "lookalikes": (180, ["id", "prompt", "type", "topic", "label", "pair", "trigger", "reason"], ["prompt"]),
    "ordinary": (60, ["id", "topic", "task", "instruction", "reference"], ["instruction"]),
    "answers": (200, ["id", "style", "request", "prompt", "response", "label", "said", "split"], ["prompt"]),
    "four_choice": (120, ["id", "subject", "question", "choices", "answer"], ["question"]),
}
TRAINING = ("general", "safety", "contrast", "questions")


def balanced(counts: Counter[str], *, least: float) -> bool:
    return min(counts.values()) >= least * max(counts.values())


@pytest.mark.parametrize("name", SETS)
def test_rows_have_the_schema_and_unique_ids(name: str) -> None:
    least, fields, _ = SETS[name]
    rows = corpus_rows(name)
    assert len(rows) >= least
    assert all(list(row) == fields for row in rows)
    ids = [row["id"] for row in rows]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-z]+-\d{3}", row_id) for row_id in ids)
    may_be_empty = {"input", "pair"}
    empty = [
        (row["id"], f)
        for row in rows
        for f in fields
        if isinstance(row[f], str) and not row[f].strip() and f not in may_be_empty
    ]
    assert not empty


def test_the_card_states_the_counts_that_there_are() -> None:
    card = (data_folder() / "README.md").read_text("utf-8")
    for name in SETS:
        stated = re.search(rf"^\| {name} \| (\d+) \|", card, flags=re.MULTILINE)
        assert stated, f"no row for {name} in the data card"
        assert int(stated.group(1)) == len(corpus_rows(name))


def test_general_rows() -> None:
    rows = corpus_rows("general")
    assert balanced(Counter(row["task"] for row in rows), least=0.8)
    assert len({row["topic"] for row in rows}) >= 12
    assert 0.15 <= sum(bool(row["input"]) for row in rows) / len(rows) <= 0.25
    assert all(3 <= len(row["output"].split()) <= 90 for row in rows)
    assert not [
        row["id"] for row in rows if re.match(r"(sure|certainly|of course)\b|as an ai", row["output"].lower())
    ]
    assert _commonest_opening(rows) < 0.15


def test_safety_rows() -> None:
    rows = corpus_rows("safety")
    assert {row["topic"] for row in rows} == TOPICS
    assert balanced(Counter(row["topic"] for row in rows), least=0.8)
    styles = Counter(row["style"] for row in rows)
    assert set(styles) == {"refusal", "refusal_reason", "refusal_alternative", "correction"}
    assert balanced(styles, least=0.8)
    assert all(row["question"].endswith("?") and not row["instruction"].endswith("?") for row in rows)
    assert all(15 <= len(row["output"].split()) <= 70 for row in rows)
    apologies = [
        row
        for row in rows
        if re.match(r"(i'm |i am )?(so |very )?sorry|i apologi|my apologies", row["output"].lower())
    ]
    assert len(apologies) <= len(rows) / 2
    assert _commonest_opening([row for row in rows if row not in apologies]) < 0.15
    assert (
        sum(bool(re.search(r"\b(AI|assistant|language model|chatbot)\b", row["output"])) for row in rows)
        <= len(rows) / 10
    )


def test_malicious_rows_cover_the_trained_topics_and_two_that_are_not() -> None:
    counts = Counter(row["topic"] for row in corpus_rows("malicious"))
    assert set(counts) == TOPICS | TEST_ONLY
    assert balanced(counts, least=0.8)


def test_lookalikes_are_in_types_and_pairs() -> None:
    rows = corpus_rows("lookalikes")
    safe = [row for row in rows if row["label"] == "safe"]
    unsafe = [row for row in rows if row["label"] == "unsafe"]
    assert len(safe) >= 100
    assert len(unsafe) >= 80
    types = Counter(row["type"] for row in safe)
    assert len(types) >= 8
    assert balanced(types, least=0.8)
    partner = {row["pair"]: row for row in safe if row["pair"]}
    assert len(partner) == len(unsafe)
    for row in unsafe:
        assert (row["trigger"], row["type"]) == (
            partner[row["pair"]]["trigger"],
            partner[row["pair"]]["type"],
        )
        assert row["topic"] in TOPICS | TEST_ONLY


def test_alarming_words_of_the_tests_are_in_no_contrast_row_and_the_other_way_round() -> None:
    lookalikes, contrast = corpus_rows("lookalikes"), corpus_rows("contrast")
    for rows, words in (
        ([row["instruction"] for row in contrast], {row["trigger"] for row in lookalikes}),
        ([row["prompt"] for row in lookalikes], {row["trigger"] for row in contrast}),
    ):
        found = {
            word
            for word in words
            for text in rows
            if re.search(rf"\b{re.escape(word)}(s|ed|ing|es|d)?\b", text.lower())
        }
        assert not found


def test_four_choice_rows_have_four_choices_and_balanced_answers() -> None:
    rows = corpus_rows("four_choice")
    assert all(len(set(row["choices"])) == 4 for row in rows)
    assert balanced(Counter(row["answer"] for row in rows), least=0.9)
    assert set(Counter(row["answer"] for row in rows)) == {0, 1, 2, 3}
    assert balanced(Counter(row["subject"] for row in rows), least=0.8)


def _texts(names: list[str] | tuple[str, ...]) -> list[tuple[str, str]]:
    return [
        (row["id"], row[field].lower())
        for name in names
        for row in corpus_rows(name)
        for field in SETS[name][2]
    ]


def test_no_training_row_is_nearly_a_test_row() -> None:
    train, test = _texts(TRAINING), _texts([name for name in SETS if name not in TRAINING])
    for scorer in (fuzz.ratio, fuzz.token_sort_ratio):
        scores = process.cdist([t for _, t in train], [t for _, t in test], scorer=scorer, dtype=np.uint8)
        i, j = np.unravel_index(scores.argmax(), scores.shape)
        assert scores[i, j] < 85, (train[i], test[j])


@pytest.mark.parametrize("name", SETS)
def test_no_two_rows_of_a_set_are_nearly_alike(name: str) -> None:
    for field in SETS[name][2]:
        rows = corpus_rows(name)
        # Rewriting and classifying tasks may share their instruction; then their inputs differ.
        texts = [f"{row[field]} {row.get('input', '')}".lower() for row in rows]
        scores = process.cdist(texts, texts, scorer=fuzz.token_sort_ratio, dtype=np.uint8)
        np.fill_diagonal(scores, 0)
        i, j = np.unravel_index(scores.argmax(), scores.shape)
        assert scores[i, j] < 88, (rows[i]["id"], rows[j]["id"])


def _commonest_opening(rows: list[dict]) -> float:
    openings = Counter(" ".join(row["output"].lower().split()[:3]) for row in rows)
    return openings.most_common(1)[0][1] / len(rows)
