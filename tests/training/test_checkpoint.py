"""A run that was stopped goes on from its checkpoint and ends with the same bytes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_models import tiny_llama
from tiny_training import RECIPE, small_mix

from safetune_utils.models.identity import ADAPTER_FILE
from safetune_utils.training import checkpoint
from safetune_utils.training.finetune import TrainingFacts, finetune
from safetune_utils.training.loss import accumulate_gradient


class _Stopped(BaseException):
    """As Ctrl-C or a kill would: nothing that catches errors catches it."""


@pytest.mark.parametrize("order", [pytest.param("mixed", marks=pytest.mark.slow), "after"])
def test_a_run_stopped_at_any_step_and_resumed_ends_with_the_same_bytes(
    tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order: str
) -> None:
    # With dropout, so that the state of the random numbers matters, too.
    recipe = RECIPE.model_copy(update={"lora_dropout": 0.2})
    mix = small_mix(order=order)
    real = accumulate_gradient

    def run(name: str, *, stop_before: int = 10**9, every: int = 1) -> dict:
        calls = iter(range(1, 10**9))

        def counted(*given: object, **more: object) -> float:
            if next(calls) == stop_before:
                raise _Stopped
            return real(*given, **more)

        monkeypatch.setattr("safetune_utils.training.finetune.accumulate_gradient", counted)
        return finetune(
            model=tiny_llama(),
            tokenizer=tokenizer,
            mix=mix,
            recipe=recipe,
            seed=0,
            output=tmp_path / name,
            checkpoint=tmp_path / f"{name}.pt",
            checkpoint_every=every,
        )

    whole = run("whole")
    assert (whole["steps"], whole["resumed_at_step"]) == (18, 0)
    # With 16 + 8 rows in batches of 4, the last 6 of 18 steps are those of what comes after.
    stops = [(k, 1) for k in range(2, 19)] + [(13, 4), (3, 4)] if order == "mixed" else [(13, 1), (17, 4)]
    for stop, every in stops:
        name = f"stopped-{stop}-{every}"
        with pytest.raises(_Stopped):
            run(name, stop_before=stop, every=every)
        again = run(name, every=every)
        assert again["resumed_at_step"] == (stop - 1) // every * every
        for file in ("adapter_model.safetensors", "losses.csv"):
            both = [(tmp_path / made / file).read_bytes() for made in (name, "whole")]
            assert both[0] == both[1], (stop, every, file)
        same = ("steps", "tokens", "best_step", "best_validation_loss", "last_train_loss")
        assert [again[key] for key in same] == [whole[key] for key in same]


def _cut(checkpoint: Path) -> None:
    checkpoint.write_bytes(checkpoint.read_bytes()[: checkpoint.stat().st_size // 2])


def _flip(checkpoint: Path) -> None:
    content = bytearray(checkpoint.read_bytes())
    content[len(content) // 3] ^= 1
    checkpoint.write_bytes(content)


@pytest.mark.slow
def test_a_damaged_state_is_told_in_a_line_and_the_training_begins_anew(
    tokenizer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, weights = tmp_path / "state.pt", tmp_path / "adapter" / ADAPTER_FILE

    def run() -> TrainingFacts:
        return finetune(
            model=tiny_llama(),
            tokenizer=tokenizer,
            mix=small_mix(),
            recipe=RECIPE.model_copy(update={"epochs": 1}),
            seed=0,
            output=weights.parent,
            checkpoint=path,
            checkpoint_every=3,
        )

    assert run()["resumed_at_step"] == 0
    whole, state = weights.read_bytes(), path.read_bytes()
    told = f"the state of a stopped training in {path} is not as it was saved: the training begins anew\n"
    harms: list[Callable[[Path], object]] = [_cut, _flip, lambda path: path.write_bytes(b"")]
    for harm in harms:
        path.write_bytes(state)
        harm(path)
        capsys.readouterr()
        # Nothing is put into the adapter, the optimiser, the schedule or the scaler.
        assert checkpoint.resume(path, *[None] * 4) is None  # type: ignore[arg-type]
        assert capsys.readouterr().err == told
    assert run()["resumed_at_step"] == 0
    assert weights.read_bytes() == whole
    # The state of another run is no better than a damaged one.
    other = shutil.copy(path, tmp_path / "other.pt")
    assert checkpoint.resume(Path(other), *[None] * 4) is None  # type: ignore[arg-type]
