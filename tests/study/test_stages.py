"""Stages: what makes another adapter or other responses, and an adapter trained by several processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_training import ONE_THREAD, tiny_study, weights

from safetune_utils import store
from safetune_utils.errors import SafetuneError
from safetune_utils.study import mixes, stages
from safetune_utils.study.design import state
from safetune_utils.study.study import Study


def smoke(**given: Any) -> Study:
    return state(prompt_sets=["malicious"], preset="smoke", **given)


def test_the_order_makes_another_adapter_and_a_guard_other_responses_only() -> None:
    plain, after, guarded = smoke(), smoke(mixing={"order": "after"}), smoke(decoding={"guard": "Be kind."})
    without, run = plain.runs

    def adapter(study: Study, run: Any) -> Path:
        return stages.adapter_folder(study, run, make=False)

    assert adapter(plain, run) != adapter(after, run)
    # Where nothing comes after, it is the same adapter and is made once.
    assert adapter(plain, without) == adapter(after, without)
    assert adapter(plain, run) == adapter(guarded, run)
    responses = [stages.responses_folder(study, run, "malicious") for study in (plain, guarded)]
    assert responses[0] != responses[1]


def test_the_record_of_a_mix_says_how_its_rows_were_chosen() -> None:
    study = smoke(mixing={"choice": "topics", "topics_left_out": ["drugs"], "n_contrast": 5})
    facts = store.read_record(stages.mix_folder(study, study.runs[1]))["facts"]
    assert facts["mixing"] == {
        "choice": "topics",
        "n_candidates": 8,
        "topics_left_out": ["drugs"],
        "with_questions": False,
        "n_contrast": 5,
        "order": "mixed",
    }
    assert len(facts["contrast_ids"]) == 5
    assert set(facts["contrast_ids"]) <= {row.id for row in mixes.mix_of(study, study.runs[1]).train}
    assert facts["rows"] == {"train": 12, "validation": 2}
    assert study.n_rows(study.runs[1]) == 12


def test_a_wrong_number_of_processes_is_told_before_anything_is_trained(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAFETUNE_PROCESSES", "two")
    study = tiny_study(base)
    with pytest.raises(SafetuneError, match="whole number"):
        stages.train(study, study.runs[0], output=base / "out")


@pytest.mark.sample
@pytest.mark.slow
def test_two_processes_train_the_adapter_of_one(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One process with batches of 8 against two with their 4 of each; 21 rows, so that the last batch is
    uneven.
    """
    study = tiny_study(base)
    alone = stages.train(study, study.runs[0], output=tmp_path / "alone")
    for name, value in ONE_THREAD.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SAFETUNE_PROCESSES", "2")
    folder = stages.adapter_folder(study, study.runs[0])  # through the store, as a notebook does
    together = store.read_record(folder)["facts"]
    assert (alone["processes"], together["processes"]) == (1, 2)
    assert alone["steps"] == together["steps"] == 6
    assert together["best_validation_loss"] == pytest.approx(alone["best_validation_loss"], rel=1e-4)
    assert together["last_train_loss"] == pytest.approx(alone["last_train_loss"], rel=1e-4)
    assert weights(folder).keys() == weights(tmp_path / "alone").keys()
    for name, weight in weights(tmp_path / "alone").items():
        torch.testing.assert_close(weights(folder)[name], weight, rtol=1e-3, atol=1e-4)
    moved = max(weight.abs().max().item() for name, weight in weights(folder).items() if "lora_B" in name)
    assert moved > 0.01  # far more than the tolerance: it learned
