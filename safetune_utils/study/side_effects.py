"""What safety data costs, beside what the answers show: benchmark questions, and the loss of reference
answers, adapter by adapter.

Both are stages of the run store, known by the adapter and by what it was asked, so a second look costs
nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from safetune_utils import data, store
from safetune_utils.errors import SafetuneError
from safetune_utils.models.identity import ADAPTER_FILE
from safetune_utils.scoring import capability
from safetune_utils.study import base
from safetune_utils.study.stages import adapter_folder, load_adapted
from safetune_utils.study.study import Run, Study
from safetune_utils.training import reference_loss

# Choices at a time. In bf16 a value depends a little on what stands beside it, so it is the same for every
# adapter.
_BATCH_SIZE = 16
# What a study calls the loss of reference answers among its side effects; the others are benchmarks.
REFERENCE_LOSSES = "reference-losses"


def check_side_effects(names: Sequence[str]) -> None:
    """Check the names of a study's side effects.

    Raises:
        SafetuneError: one is none, or needs the harness, which is not installed.
    """
    for name in names:
        if name != REFERENCE_LOSSES:
            known = capability.task_names()
            if name not in known:
                listed = ", ".join([REFERENCE_LOSSES, *known])
                raise SafetuneError(f"unknown side effect '{name}': choose from {listed}")
            capability.engine()


def side_effects_left(study: Study, run: Run) -> list[str]:
    """Those of a study's side effects that an adapter was not measured by yet."""
    return [
        name
        for name in study.side_effects
        if not store.is_made(side_effect_folder(study, run, name, make=False))
    ]


def n_measured(study: Study, name: str) -> int:
    """How many reference answers or questions a side effect is measured on; 0 for a benchmark that the
    harness downloads, whose size it does not say before.
    """
    if name == REFERENCE_LOSSES:
        return len(_references(study))
    return len(data.corpus_rows(name)[: study.settings.max_prompts]) if name == capability.FOUR_CHOICE else 0


def questions(study: Study, *, task: str = capability.FOUR_CHOICE) -> pd.DataFrame:
    """How each of a study's adapters does on a benchmark, question by question; what is missing is run.

    Args:
        study: its adapters are trained where they are missing; ``max_prompts`` limits the questions too, from
            the task's start.
        task: one of :func:`safetune_utils.scoring.capability.task_names`.

    Returns:
        ``n_safety, seed`` and the columns of :func:`safetune_utils.scoring.capability.answer_questions`.

    Raises:
        SafetuneError: the harness is not installed (see
            :func:`safetune_utils.scoring.capability.is_installed`), the task is unknown or its data cannot be
            had.
    """
    tables = [
        _about(run, store.rows_of(_questions_folder(study, run, task) / "questions.jsonl"))
        for run in study.runs
    ]
    return pd.concat(tables, ignore_index=True)


def reference_losses(study: Study) -> pd.DataFrame:
    """Loss of each held-out reference answer under each of a study's adapters; what is missing is computed.

    Returns:
        ``n_safety, seed, example`` (its id) and ``loss``, the mean over the answer's tokens in nats; lower is
        better.
    """
    tables = [_about(run, store.rows_of(_losses_folder(study, run) / "losses.jsonl")) for run in study.runs]
    return pd.concat(tables, ignore_index=True)


def side_effect_folder(study: Study, run: Run, name: str, *, make: bool = True) -> Path:
    """The stage that holds what an adapter was measured by; with ``make`` false it is only named."""
    if name == REFERENCE_LOSSES:
        return _losses_folder(study, run, make=make)
    return _questions_folder(study, run, name, make=make)


def _questions_folder(study: Study, run: Run, task: str, *, make: bool = True) -> Path:
    adapter, limit = adapter_folder(study, run, make=make), study.settings.max_prompts
    inputs = {
        "version": base.VERSIONS["capability"], "adapter": store.key_in(adapter), "task": task,
        "questions": _questions_hash(task), "engine": capability.engine(), "batch_size": _BATCH_SIZE,
    }  # fmt: skip
    inputs |= {} if limit is None else {"limit": limit}

    def ask(folder: Path) -> store.Facts:
        model, tokenizer = load_adapted(study, adapter)
        answered = capability.answer_questions(
            model=model, tokenizer=tokenizer, tasks=[task], limit=limit, batch_size=_BATCH_SIZE
        )
        store.write_lines(
            folder / "questions.jsonl",
            [{str(name): value for name, value in row.items()} for row in answered.to_dict("records")],
        )
        return {"questions": answered["question"].nunique()}

    label = f"{_label(adapter)}-{task}"
    if not make:
        return store.stage_folder(stage="capability", label=label, inputs=inputs)
    return store.produce(
        stage="capability", label=label, inputs=inputs, make=ask, reads=[adapter / ADAPTER_FILE]
    )


def _questions_hash(task: str) -> str:
    return data.content_hash(data.corpus_rows(task)) if task == capability.FOUR_CHOICE else "the harness's"


def _references(study: Study) -> list[data.Example]:
    return reference_loss.reference_examples()[: study.settings.max_prompts]


def _losses_folder(study: Study, run: Run, *, make: bool = True) -> Path:
    adapter, examples = adapter_folder(study, run, make=make), _references(study)
    inputs = {
        "version": base.VERSIONS["reference-losses"],
        "adapter": store.key_in(adapter),
        "examples": data.content_hash(examples),
    }

    def read(folder: Path) -> store.Facts:
        model, tokenizer = load_adapted(study, adapter)
        found = reference_loss.reference_loss(
            model=model, tokenizer=tokenizer, examples=examples, template=study.settings.template
        )
        store.write_lines(
            folder / "losses.jsonl",
            [{"example": example, "loss": loss} for example, loss in found.per_example.items()],
        )
        return {
            "loss": found.loss,
            "tokens": found.n_tokens,
            "truncated": found.n_truncated,
            "unscored": found.n_unscored,
        }

    label = _label(adapter)
    if not make:
        return store.stage_folder(stage="reference-losses", label=label, inputs=inputs)
    return store.produce(
        stage="reference-losses", label=label, inputs=inputs, make=read, reads=[adapter / ADAPTER_FILE]
    )


def _label(adapter: Path) -> str:
    return adapter.name.rsplit("-", 1)[0]


def _about(run: Run, rows: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame([{"n_safety": run.n_safety, "seed": run.seed} | row for row in rows])
