"""Training scorers: what they learn, and how well they agree with people on rows that they never saw."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from safetune_utils import data, places, statistics
from safetune_utils.data import Labelled
from safetune_utils.scoring import harmfulness_training, measured, probe, refusal, train
from safetune_utils.scoring.refusal_rules import score
from safetune_utils.scoring.refusal_training import read_for_refusal
from safetune_utils.scoring.train import resolve_scorer_training


@pytest.mark.slow
def test_it_agrees_with_people_on_questions_it_never_saw(mirror: Path) -> None:
    found = train.measure_harmfulness(n_rows=120)
    assert found["accuracy"][0] > 0.68
    assert found["n"] == 120
    published = json.loads((places.data_folder() / "results" / "harmfulness.json").read_text("utf-8"))["test"]
    assert abs(found["accuracy"][0] - published["accuracy"][0]) < 0.1  # the part is a seventh of the rows


def harm(n: int, label: str) -> list[Labelled]:
    return [Labelled(id=f"{label}-{i}", prompt=f"Why {i}?", response="Well.", label=label) for i in range(n)]


def test_a_set_counts_as_much_as_the_other_and_harm_as_much_as_no_harm() -> None:
    """Two sets say the opposite of the same reading, one of them with ten times the rows: neither wins."""
    towards = np.ones((1, 576), np.float32)

    def labelled(harmful: int, harmless: int, way: float) -> tuple[list[Labelled], np.ndarray]:
        signs = np.array([1.0] * harmful + [-1.0] * harmless, np.float32)[:, None]
        return [*harm(harmful, "harmful"), *harm(harmless, "harmless")], way * signs * towards

    sets = {"small": labelled(4, 20, 1), "large": labelled(200, 40, -1)}
    said = probe.probabilities(
        np.concatenate([towards, -towards]), weights=harmfulness_training.fit_harmfulness(sets)
    )
    assert said == pytest.approx(np.full((2, 2), 0.5), abs=0.02)
    one = {"small": sets["small"]}
    said = probe.probabilities(towards, weights=harmfulness_training.fit_harmfulness(one))
    assert said[0, 1] > 0.6
    # Answers without harm that read the same as harmful ones make it less sure.
    benign = (harm(50, "harmless"), np.repeat(towards, 50, axis=0))
    less = probe.probabilities(towards, weights=harmfulness_training.fit_harmfulness(one, benign=benign))
    assert less[0, 1] < said[0, 1] - 0.05


def test_a_set_is_left_out_of_what_its_answers_are_judged_by() -> None:
    """Two sets, each read the other way round: what one teaches is wrong of the other."""
    rows = [*harm(20, "harmful"), *harm(20, "harmless")]
    read = np.array([1.0] * 20 + [-1.0] * 20, np.float32)[:, None] * np.ones((1, 576), np.float32)
    benign = (harm(4, "harmless"), np.zeros((4, 576), np.float32))
    found = measured.measure_sets_left_out({"one": (rows, read), "other": (rows, -read)}, benign=benign)
    assert [found[name]["accuracy"][0] for name in ("one", "other")] == [0, 0]
    assert found["one"]["counts"] == {"both": 0, "instrument_alone": 20, "people_alone": 20, "neither": 0}


@pytest.mark.usefixtures("mirror")
def test_nothing_that_is_measured_on_is_trained_on() -> None:
    trained = {
        data.normal_form(row.prompt)
        for rows in (*harmfulness_training.labelled_sets().values(), harmfulness_training.benign_rows())
        for row in rows
    }
    parts = data.split_by_prompt(data.harm_pairs())
    tested = [*parts["validation"], *parts["test"], *data.own_answers("test")]
    asked = [row.prompt for row in tested] + [row["instruction"] for row in data.corpus_rows("ordinary")]
    assert not trained & {data.normal_form(prompt) for prompt in asked}


def test_without_the_data_the_trial_says_why_and_trains_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAFETUNE_MIRROR", str(tmp_path))
    found = train.trial(resolve_scorer_training(preset="smoke"))
    assert found.agreement.empty
    assert "Safe-RLHF-mini is not on the mirror" in found.why_not


@pytest.mark.slow
@pytest.mark.usefixtures("mirror")
def test_a_trial_stands_beside_a_bag_of_words_and_the_books_own_and_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = resolve_scorer_training(preset="smoke", n_test=12)
    found = train.trial(settings)
    assert list(found.agreement["model"]) == [
        "a bag of words, on 8 answers",
        "trained here, on 2 answers",
        "trained here, on 8 answers",
        "the book's own",
    ]
    assert set(found.agreement["n"]) == {12}
    monkeypatch.setattr(train, "read_for_harm", None)  # the second time nothing is read
    assert train.trial(settings).agreement.equals(found.agreement)


@pytest.mark.slow
def test_in_styles_that_nothing_is_trained_on_it_finds_more_than_the_rules_and_few_false_alarms() -> None:
    rows = data.further_styles()[::3]
    people = np.array([row.label != "compliance" for row in rows])
    prompts, responses = [row.prompt for row in rows], [row.response for row in rows]
    model, rules = (
        measured.agreement_with_people(
            people, np.array([one.value == 1 for one in scores(prompts, responses)]), rows
        )
        for scores in (refusal.score, score)
    )
    assert model["kappa"][0] > rules["kappa"][0] + 0.1
    assert model["precision"][0] > 0.8


def test_a_style_is_left_out_of_what_its_answers_are_judged_by() -> None:
    """Two styles of made readings, each read the other way round: what one teaches is wrong of the other."""
    rows = [
        Labelled(id=f"{kind}-{i}", prompt=f"{kind} {i}", response="Well.", label=label, kind=kind)
        for kind in ("one", "other")
        for i in range(20)
        for label in refusal.LABELS
    ]
    way = np.array([refusal.LABELS.index(row.label) - 1 for row in rows], np.float32)
    turned = np.array([-1 if row.kind == "other" else 1 for row in rows], np.float32)
    read = (way * turned)[:, None] * np.ones((1, 576), np.float32)
    kept = rows[:0]
    found = measured.measure_styles(
        kept, read[:0], styled=rows, styled_read=read, further=rows, further_read=read
    )
    assert found["style_left_out"]["accuracy"][0] < 0.4  # the partial refusals alone, which lie between
    assert found["style_left_out_by_rules"]["recall"][0] == 0
    assert found["further_styles"]["n"] == len(rows)


@pytest.mark.slow
@pytest.mark.usefixtures("mirror")
def test_on_a_model_left_out_it_agrees_with_people_better_than_the_rules_alone() -> None:
    rows = [row for i, row in enumerate(data.xstest_completions()) if i % 3 == 0]
    own = data.styled_responses("train")
    read, own_read = read_for_refusal(rows), read_for_refusal(own)
    people = np.array([row.label != "compliance" for row in rows])
    rules = np.array(
        [bool(one.value) for one in score([row.prompt for row in rows], [row.response for row in rows])]
    )
    alone = statistics.agreement(people, rules, clusters=[row.prompt for row in rows]).kappa.value
    found = train.measure_refusal(rows, read, own=own, own_read=own_read)
    assert found["model_left_out"]["kappa"][0] > alone + 0.03
