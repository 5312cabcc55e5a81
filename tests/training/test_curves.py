"""The losses of a training under way, as TensorBoard reads them."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest
from tiny_training import train

from safetune_utils.training import curves


@pytest.mark.slow
def test_tensorboard_reads_the_losses_that_the_adapter_s_file_has(
    tmp_path: Path, tokenizer: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    monkeypatch.setenv("SAFETUNE_TENSORBOARD", str(tmp_path / "curves"))
    train(tokenizer, tmp_path / "mine")
    found = EventAccumulator(str(tmp_path / "curves" / "mine"))
    found.Reload()
    losses = pd.read_csv(tmp_path / "mine" / "losses.csv").set_index("step")
    for which in ("train_loss", "validation_loss"):
        drawn = {event.step: event.value for event in found.Scalars(which)}
        assert drawn == pytest.approx(losses[which].dropna().to_dict(), abs=1e-4)


def test_without_a_folder_nothing_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SAFETUNE_TENSORBOARD", raising=False)
    with curves.drawing("a", first_step=0) as draw:
        draw({"step": 1, "train_loss": 1.0, "validation_loss": math.nan})
    assert not list(tmp_path.iterdir())


def test_where_tensorboard_is_not_installed_it_is_told_before_the_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SAFETUNE_TENSORBOARD", "curves")
    monkeypatch.setattr(curves.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(curves.SafetuneError, match=r"^--tensorboard needs TensorBoard: pip install"):
        curves.check()
