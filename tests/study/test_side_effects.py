"""What safety data costs: kept by adapter and never computed twice."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pandas as pd
import pytest

from safetune_utils.errors import SafetuneError
from safetune_utils.models import base_model
from safetune_utils.models.adapters import load_adapter
from safetune_utils.models.base_model import load_base
from safetune_utils.scoring import capability
from safetune_utils.study import side_effects, stages
from safetune_utils.study.design import state, vary
from safetune_utils.study.run import run
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


def two_adapters(base: Path) -> Study:
    tasks = [capability.FOUR_CHOICE] if HARNESS else []
    return state(
        prompt_sets=[],
        preset="smoke",
        base_model=str(base),
        precision="fp32",
        recipe=RECIPE,
        max_prompts=5,
        side_effects=[side_effects.REFERENCE_LOSSES, *tasks],
    )


@pytest.mark.slow
def test_each_adapter_is_measured_once_and_by_itself(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = two_adapters(base)
    run(study)
    assert not any(side_effects.side_effects_left(study, one) for one in study.runs)
    losses = side_effects.reference_losses(study)
    assert list(losses["n_safety"]) == [0] * 5 + [3] * 5
    model, tokenizer = load_base(str(base), precision="fp32")
    model = load_adapter(model, stages.adapter_folder(study, study.runs[1]))
    by_hand = reference_loss(model=model, tokenizer=tokenizer, examples=reference_examples()[:5]).per_example
    of_none, of_three = (losses[losses["n_safety"] == n].set_index("example")["loss"] for n in (0, 3))
    assert of_three.to_dict() == pytest.approx(by_hand)
    assert (of_none - of_three).abs().min() > 1e-4  # another adapter, other values

    questions = None
    if HARNESS:
        questions = side_effects.questions(study)
        right = capability.answer_questions(model=model, tokenizer=tokenizer, limit=5)
        second = questions[questions["n_safety"] == 3].drop(columns=["n_safety", "seed"])
        pd.testing.assert_frame_equal(second.reset_index(drop=True), right)

    def loaded(*_: object, **__: object) -> None:
        raise AssertionError("a model was loaded for what is there already")

    monkeypatch.setattr(base_model, "load_base", loaded)
    pd.testing.assert_frame_equal(side_effects.reference_losses(study), losses)
    if questions is not None:
        pd.testing.assert_frame_equal(side_effects.questions(study), questions)
    with pytest.raises(AssertionError, match="there already"):  # other questions are another stage
        side_effects.reference_losses(vary(study, max_prompts=6))


def test_without_the_harness_nothing_is_loaded_and_one_line_names_the_extra(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = two_adapters(base)
    monkeypatch.setattr(capability, "is_installed", lambda: False)
    monkeypatch.setattr(side_effects, "adapter_folder", lambda *_, **__: Path("adapter-000"))
    needed = pytest.raises(SafetuneError, match=r"pip install -e '\.\[capability\]'")
    with needed:
        side_effects.questions(study)
    with needed:
        state(prompt_sets=[], preset="smoke", side_effects=[capability.FOUR_CHOICE])
