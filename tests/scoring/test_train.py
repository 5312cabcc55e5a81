"""Training scorers: what they learn, and how well they agree with people on rows that they never saw."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from safetune_utils import data, places, statistics
from safetune_utils.data import Labelled
from safetune_utils.scoring import embedded_judge, measured, refusal, train
from safetune_utils.scoring.refusal_rules import score
from safetune_utils.scoring.train import resolve_scorer_training


@pytest.mark.slow
def test_it_agrees_with_people_on_questions_it_never_saw(mirror: Path) -> None:
    found = train.measure_harmfulness(n_rows=120)
    assert found["accuracy"][0] > 0.68
    assert found["n"] == 120
    published = json.loads((places.data_folder() / "results" / "harmfulness.json").read_text("utf-8"))["test"]
    assert abs(found["accuracy"][0] - published["accuracy"][0]) < 0.1  # the part is a seventh of the rows


@pytest.mark.slow
def test_training_learns_what_its_rows_say(mirror: Path, tmp_path: Path) -> None:
    """A few rows, learned by heart: the adapter that is saved tells them apart."""
    recipe = train.RECIPE.model_copy(
        update={"epochs": 8, "batch_size": 4, "evaluations": 1, "warmup_steps": 2}
    )
    parts = data.split_by_prompt(data.harm_pairs())
    rows = parts["train"][:8]
    facts = train.train(
        embedded_judge.HARMFUL, rows=rows, validation=parts["validation"][:2], folder=tmp_path, recipe=recipe
    )
    assert facts["rows"] == 8
    loaded = embedded_judge.load(tmp_path)
    said = embedded_judge.probabilities(
        [r.prompt for r in rows], [r.response for r in rows], question=embedded_judge.HARMFUL, loaded=loaded
    )
    assert said.shape == (8, 2)
    assert said.sum(axis=1) == pytest.approx(np.ones(8))
    assert ((said[:, 1] > 0.5) == np.array([r.label == "harmful" for r in rows])).mean() >= 7 / 8


def test_without_the_data_the_trial_says_why_and_trains_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAFETUNE_MIRROR", str(tmp_path))
    found = train.trial(resolve_scorer_training(preset="smoke"))
    assert found.agreement.empty
    assert "Safe-RLHF-mini is not on the mirror" in found.why_not


@pytest.mark.slow
@pytest.mark.usefixtures("mirror")
def test_a_trial_stands_beside_the_base_model_and_the_books_own_and_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = resolve_scorer_training(preset="smoke", n_test=12)
    found = train.trial(settings)
    assert list(found.agreement["model"]) == [
        "the base model as it is",
        "trained here, on 8 answers",
        "the book's own",
    ]
    assert set(found.agreement["n"]) == {12}
    assert found.losses["train_loss"].notna().all()
    monkeypatch.setattr(train, "train", None)  # the second time nothing is trained
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
    read, own_read = (
        refusal.reading([row.prompt for row in some], [row.response for row in some]) for some in (rows, own)
    )
    people = np.array([row.label != "compliance" for row in rows])
    rules = np.array(
        [bool(one.value) for one in score([row.prompt for row in rows], [row.response for row in rows])]
    )
    alone = statistics.agreement(people, rules, clusters=[row.prompt for row in rows]).kappa.value
    found = train.measure_refusal(rows, read, own=own, own_read=own_read)
    assert found["model_left_out"]["kappa"][0] > alone + 0.03
