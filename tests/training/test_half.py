"""Training in fp16, where small gradients vanish and large ones overflow unless the loss is scaled."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny_models import tiny_llama
from tiny_training import RECIPE, small_mix

from safetune_utils.errors import SafetuneError
from safetune_utils.settings import Recipe
from safetune_utils.training import finetune as training
from safetune_utils.training.finetune import finetune, with_adapter
from safetune_utils.training.loss import accumulate_gradient
from safetune_utils.training.rows import encode


def gradient(model: torch.nn.Module, tokenizer, *, scale: float = 1.0, n_rows: int = 8) -> torch.Tensor:
    torch.manual_seed(0)
    adapted = with_adapter(model, Recipe(lora_rank=4))  # type: ignore[arg-type]
    rows, _ = encode(tokenizer, small_mix().train[:n_rows], RECIPE)
    accumulate_gradient(adapted, rows, 100_000, scaled=lambda loss: loss * scale)
    return torch.cat([p.grad.flatten() / scale for p in adapted.parameters() if p.requires_grad])


@pytest.mark.slow
def test_the_scaled_gradient_in_fp16_is_that_of_fp32(tokenizer) -> None:
    expected = gradient(tiny_llama(), tokenizer)

    def error(scale: float) -> float:
        found = gradient(tiny_llama().half(), tokenizer, scale=scale)
        return ((found - expected).norm() / expected.norm()).item()

    # A smaller scale stands for a larger batch, whose loss is a mean over more tokens.
    assert error(2.0**16) < 0.01 < error(2.0**-6)


@pytest.mark.slow
def test_a_step_that_overflows_is_skipped_and_counted(
    tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scaler = torch.amp.GradScaler
    monkeypatch.setattr(
        training.torch.amp, "GradScaler", lambda device, **how: scaler(device, init_scale=2.0**28, **how)
    )
    facts = finetune(
        model=tiny_llama().half(),
        tokenizer=tokenizer,
        mix=small_mix(),
        recipe=RECIPE,
        seed=0,
        output=tmp_path,
    )
    assert 0 < facts["skipped_steps"] < facts["steps"]
    assert facts["best_validation_loss"] < 10.8  # nats of a model that knows nothing, ln 49152: it learned


@pytest.mark.parametrize("half", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_gradient_that_is_no_number_stops_the_run(
    tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, half: bool
) -> None:
    real = accumulate_gradient

    def damaged(model, *given, **more) -> float:
        loss = real(model, *given, **more)
        next(p for p in model.parameters() if p.requires_grad).grad.fill_(torch.nan)
        return loss

    monkeypatch.setattr(training, "accumulate_gradient", damaged)
    model = tiny_llama().half() if half else tiny_llama()
    with pytest.raises(SafetuneError, match="too large for fp16" if half else "gradient is not a number"):
        finetune(model=model, tokenizer=tokenizer, mix=small_mix(), recipe=RECIPE, seed=0, output=tmp_path)
