"""Training: the adapter on disk is the one that was trained, for any order, model and number format."""

from __future__ import annotations

import csv
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from tiny_models import tiny_falcon, tiny_llama
from tiny_training import RECIPE, ROWS, small_mix, train

from safetune_utils import data
from safetune_utils.data.mix import Mix
from safetune_utils.errors import SafetuneError
from safetune_utils.generation.generate import generate
from safetune_utils.models.adapters import is_zero, load_adapter
from safetune_utils.models.base_model import load_base
from safetune_utils.settings import Decoding, Recipe
from safetune_utils.training.finetune import finetune
from safetune_utils.training.loss import accumulate_gradient, mean_loss
from safetune_utils.training.rows import Row, encode, encode_row


def test_the_adapter_with_the_lowest_validation_loss_is_kept_and_reloads(tokenizer, tmp_path: Path) -> None:
    facts = train(tokenizer, tmp_path)
    with (tmp_path / "losses.csv").open() as file:
        measured = {
            int(row["step"]): float(row["validation_loss"])
            for row in csv.DictReader(file)
            if row["validation_loss"]
        }
    assert len(measured) == 6
    assert facts["best_step"] == min(measured, key=measured.get)
    assert facts["best_validation_loss"] < next(iter(measured.values()))
    # Plain PEFT reads it, it is not zero, and it gives the validation loss that was recorded.
    assert {path.name for path in tmp_path.iterdir()} == {
        "adapter_config.json",
        "adapter_model.safetensors",
        "losses.csv",
    }
    loaded = PeftModel.from_pretrained(tiny_llama(), str(tmp_path))
    assert not is_zero(loaded)
    rows, _ = encode(tokenizer, small_mix().validation, RECIPE)
    assert mean_loss(loaded, rows, 1024) == pytest.approx(facts["best_validation_loss"], rel=1e-4)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tokenizer, tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        train(tokenizer, tmp_path / name, seed=seed)
    content = {name: (tmp_path / name / "adapter_model.safetensors").read_bytes() for name in "abc"}
    assert content["a"] == content["b"]
    assert content["a"] != content["c"]


def test_wrong_layers_and_a_diverging_run_are_told_in_one_line(tokenizer, tmp_path: Path) -> None:
    with pytest.raises(SafetuneError, match="target_modules"):
        train(tokenizer, tmp_path, recipe=RECIPE.model_copy(update={"target_modules": ["query_key_value"]}))
    poisoned = tiny_llama()
    poisoned.model.norm.weight.data.fill_(float("nan"))
    mix = Mix(train=ROWS[:4], validation=ROWS[4:])
    with pytest.raises(SafetuneError, match=r"training loss is nan.*learning_rate"):
        finetune(model=poisoned, tokenizer=tokenizer, mix=mix, recipe=RECIPE, seed=0, output=tmp_path)


@pytest.mark.slow
def test_training_stops_early_when_the_validation_loss_no_longer_falls(tokenizer, tmp_path: Path) -> None:
    # A learning rate at which this tiny model soon gets worse on rows it has not seen.
    hasty = RECIPE.model_copy(update={"epochs": 10, "learning_rate": 0.1, "evaluations": 30})
    patient, waited = train(tokenizer, tmp_path / "patient", recipe=hasty), 3
    stopped = train(tokenizer, tmp_path / "stopped", recipe=hasty.model_copy(update={"patience": waited}))
    with (tmp_path / "stopped" / "losses.csv").open() as file:
        measured = [
            (int(row["step"]), float(row["validation_loss"]))
            for row in csv.DictReader(file)
            if row["validation_loss"]
        ]
    assert stopped["steps"] < patient["steps"] == 60
    assert [step for step, _ in measured if step > stopped["best_step"]] == [step for step, _ in measured][
        -waited:
    ]
    assert stopped["best_validation_loss"] == pytest.approx(min(loss for _, loss in measured), abs=1e-6)


def test_what_comes_after_is_trained_on_after_all_epochs_of_the_rest(
    tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mix = small_mix(n_general=18, order="after")
    real, learned, rates = accumulate_gradient, [], []

    def noted(model: PeftModel, batch: list[Row], tokens: int, **more: object) -> float:
        learned.append([tuple(row.ids) for row in batch])
        return real(model, batch, tokens, **more)

    monkeypatch.setattr("safetune_utils.training.finetune.accumulate_gradient", noted)
    monkeypatch.setattr(torch.optim.AdamW, "step", _noting(torch.optim.AdamW.step, rates))
    facts = finetune(model=tiny_llama(), tokenizer=tokenizer, mix=mix, recipe=RECIPE, seed=0, output=tmp_path)
    general, safety = (
        {
            tuple(encode_row(tokenizer, row, max_length=256, loss_on="answer").ids)
            for row in mix.train
            if row.id.startswith(kind)
        }
        for kind in ("general", "safety")
    )
    assert (facts["rows"], facts["steps"], len(learned)) == (26, 21, 21)  # 3 x 5 and 3 x 2 batches
    for start, rows, a_pass in ((0, general, 5), (15, safety, 2)):
        for epoch in range(3):
            first = start + epoch * a_pass
            assert sorted(row for batch in learned[first : first + a_pass] for row in batch) == sorted(rows)
    ups = [k for k, (before, after) in enumerate(pairwise(rates), 1) if after > before]
    assert ups == [1, 16]  # each part warms up, over one step, and decays
    # What is kept is what has learned the later rows: before the end nothing is measured.
    with (tmp_path / "losses.csv").open() as file:
        measured = [int(row["step"]) for row in csv.DictReader(file) if row["validation_loss"]]
    assert measured == [21]
    assert facts["best_step"] == 21


def _noting(step: Callable, rates: list[float]) -> Callable:
    def noted(self: torch.optim.AdamW, *given: object, **more: object) -> object:
        rates.append(self.param_groups[0]["lr"])
        return step(self, *given, **more)

    return noted


def test_another_architecture_trains_saves_reloads_and_answers(tokenizer, tmp_path: Path) -> None:
    mix = Mix(train=ROWS[:5], validation=ROWS[5:])
    recipe = RECIPE.model_copy(update={"target_modules": ["query_key_value"], "batch_size": 2})
    facts = finetune(
        model=tiny_falcon(), tokenizer=tokenizer, mix=mix, recipe=recipe, seed=0, output=tmp_path
    )
    with (tmp_path / "losses.csv").open() as file:
        losses = [float(row["train_loss"]) for row in csv.DictReader(file)]
    assert facts["steps"] == len(losses) == 9
    assert min(losses[3:]) < losses[0]
    ids = tokenizer("Name a fruit.", return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        unmerged = PeftModel.from_pretrained(tiny_falcon(), str(tmp_path)).eval()(ids).logits
        merged = load_adapter(tiny_falcon(), tmp_path)
        torch.testing.assert_close(merged(ids).logits, unmerged, rtol=1e-4, atol=1e-5)
        assert (unmerged - tiny_falcon()(ids).logits).abs().max() > 1e-3
    decoding = Decoding(max_new_tokens=5, batch_size=4)
    together = generate(
        model=merged,
        tokenizer=tokenizer,
        instructions=["Name a fruit.", "Say a good deal more about it."],
        decoding=decoding,
    )
    alone = [
        generate(model=merged, tokenizer=tokenizer, instructions=[text], decoding=decoding)[0]
        for text in ("Name a fruit.", "Say a good deal more about it.")
    ]
    assert together == alone


@pytest.mark.slow
@pytest.mark.parametrize("quantization", ["int8", "nf4"])
def test_a_quantised_base_trains_saves_reloads_and_answers_unmerged(
    tmp_path: Path, quantization: str
) -> None:
    rows = data.safety_examples("embedded")
    mix = Mix(train=rows[:4], validation=rows[4:6])
    recipe = Recipe(epochs=2, batch_size=4, learning_rate=0.005, evaluations=1, warmup_steps=1)
    model, tokenizer = load_base("embedded", quantization=quantization)
    before = load_base("embedded")[0].get_memory_footprint()
    assert model.get_memory_footprint() < 0.8 * before
    facts = finetune(model=model, tokenizer=tokenizer, mix=mix, recipe=recipe, seed=0, output=tmp_path)
    base, _ = load_base("embedded", quantization=quantization)
    adapted = load_adapter(base, tmp_path)
    assert isinstance(adapted, PeftModel)  # an adapter is never merged into 8 or 4 bits
    encoded, _ = encode(tokenizer, mix.validation, recipe)
    assert mean_loss(adapted, encoded, 1024) == pytest.approx(facts["best_validation_loss"], rel=0.02)
    (answer,) = generate(
        model=adapted,
        tokenizer=tokenizer,
        instructions=["Name a fruit."],
        decoding=Decoding(max_new_tokens=8),
    )
    assert answer.text
