"""Stages with a content that a test gives, in place of one that a model computes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from safetune_utils import store
from safetune_utils.study import stages
from safetune_utils.study.study import Run, Study


def made(stage: Callable[[], Path], fill: Callable[[Path], store.Facts | None]) -> Path:
    """The folder of a stage that a function names and would make, filled by another; its record is true."""
    produce = store.produce
    with pytest.MonkeyPatch.context() as patch:
        as_told = {"make": fill, "reads": ()}
        patch.setattr(store, "produce", lambda **given: produce(**given | as_told))
        return stage()


def made_responses_folder(study: Study, run: Run, prompt_set: str, rows: Sequence[dict[str, Any]]) -> Path:
    """The stage of an adapter's responses to a prompt set, with these rows; it takes the place of another."""
    folder = stages.responses_folder(study, run, prompt_set)
    if folder.is_dir():
        folder.rename(folder.with_name(f"{folder.name}.partial"))
    return made(
        lambda: stages.responses_folder(study, run, prompt_set, model="none"),
        lambda target: store.write_lines(target / "responses.jsonl", rows),
    )


def made_base_losses(lines: Sequence[dict[str, Any]]) -> Path:
    """A stage with the base model's losses of rows."""
    return store.produce(
        stage="base_losses",
        label="made",
        inputs={"lines": list(lines)},
        make=lambda target: store.write_lines(target / "losses.jsonl", lines),
    )
