"""What safety data costs: kept by adapter and never computed twice; the chapter goes on where the harness is
missing.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pandas as pd
import pytest
from notebook_cells import glued_by

from safetune_utils.book import parameters
from safetune_utils.errors import SafetuneError
from safetune_utils.models.base_model import load_adapter, load_base
from safetune_utils.scoring import capability
from safetune_utils.study import side_effects, stages
from safetune_utils.study.design import state
from safetune_utils.study.study import Study
from safetune_utils.training.reference_loss import reference_examples, reference_loss

HARNESS = importlib.util.find_spec("lm_eval") is not None
RECIPE = {
    "epochs": 2,
    "batch_size": 4,
    "learning_rate": 0.02,
    "n_validation": 4,
    "evaluations": 1,
    "warmup_steps": 1,
}


def study(base: Path) -> Study:
    return state(
        prompt_sets=[], preset="smoke", base_model=str(base), precision="fp32", recipe=RECIPE, max_prompts=5
    )


@pytest.mark.slow
def test_each_adapter_is_measured_once_and_by_itself(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = study(base)
    losses = side_effects.reference_losses(asked)
    assert list(losses["n_safety"]) == [0] * 5 + [3] * 5
    run = asked.runs[1]
    model, tokenizer = load_base(str(base), precision="fp32")
    model = load_adapter(model, stages.adapter_folder(asked, run))
    by_hand = reference_loss(model=model, tokenizer=tokenizer, examples=reference_examples()[:5]).per_example
    found = losses[losses["n_safety"] == 3].set_index("example")["loss"]
    assert found.to_dict() == pytest.approx(by_hand)
    assert (
        losses[losses["n_safety"] == 0].set_index("example")["loss"] - found
    ).abs().min() > 1e-4  # another adapter, other values

    questions = None
    if HARNESS:
        questions = side_effects.questions(asked)
        right = capability.answer_questions(model=model, tokenizer=tokenizer, limit=5)
        second = (
            questions[questions["n_safety"] == 3].drop(columns=["n_safety", "seed"]).reset_index(drop=True)
        )
        pd.testing.assert_frame_equal(second, right)

    def loaded(*_: object, **__: object) -> None:
        raise AssertionError("a model was loaded for what is there already")

    monkeypatch.setattr(models, "load_base", loaded)
    pd.testing.assert_frame_equal(side_effects.reference_losses(asked), losses)
    if questions is not None:
        pd.testing.assert_frame_equal(side_effects.questions(asked), questions)
    with pytest.raises(AssertionError, match="there already"):  # other questions are another stage
        side_effects.reference_losses(
            state(prompt_sets=[], **asked.settings.model_dump() | {"max_prompts": 6})
        )


def test_without_the_harness_nothing_is_loaded_and_one_line_names_the_extra(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capability, "is_installed", lambda: False)
    monkeypatch.setattr(Study, "adapter_folder", lambda *_: Path("adapter-000"))
    with pytest.raises(SafetuneError, match=r"pip install -e '\.\[capability\]'"):
        side_effects.questions(study(base))


@pytest.mark.slow
def test_the_chapter_goes_on_without_the_harness_and_without_the_reward_model_and_says_so(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capability, "is_installed", lambda: False)
    monkeypatch.setattr(costs, "questions", lambda *_, **__: pytest.fail("questions were asked"))
    found = glued_by(
        parameters.find("06"),
        monkeypatch,
        preset="smoke",
        base_model=str(base),
        instruments=["refusal-rules"],
    )
    assert found["right_change"] == "was not measured"
    assert found["readable_change"] == "was not measured"
    assert "not installed" in found["about_questions"]
    assert "not among this run's instruments" in found["about_wins"]
    assert "on 4 prompts" in found["declined_change"]
    assert "nats on 4 answers" in found["loss_change"]
    # Where nothing was asked, nothing is said of the cost; the other claim needs no harness.
    assert {name for name in found if name.startswith("claim_")} == {"claim_costs_little_helpfulness"}
