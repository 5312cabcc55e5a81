"""What safety data costs, beside what the answers show: benchmark questions, and the loss of reference
answers, adapter by adapter.

Both are stages of the run store, known by the adapter and by what it was asked, so a second look costs
nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from safetune_utils import data, store
from safetune_utils.models.identity import ADAPTER_FILE
from safetune_utils.scoring import capability
from safetune_utils.study import base
from safetune_utils.study.stages import adapter_folder, load_adapted
from safetune_utils.study.study import Run, Study
from safetune_utils.training import reference_loss

# Choices at a time. In bf16 a value depends a little on what stands beside it, so it is the same for every
# adapter.
_BATCH_SIZE = 16


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
        _about(run, store.read_lines(_questions_folder(study, run, task) / "questions.jsonl"))
        for run in study.runs
    ]
    return pd.concat(tables, ignore_index=True)


def reference_losses(study: Study) -> pd.DataFrame:
    """Loss of each held-out reference answer under each of a study's adapters; what is missing is computed.

    Returns:
        ``n_safety, seed, example`` (its id) and ``loss``, the mean over the answer's tokens in nats; lower is
        better.
    """
    tables = [
        _about(run, store.read_lines(_losses_folder(study, run) / "losses.jsonl")) for run in study.runs
    ]
    return pd.concat(tables, ignore_index=True)


def _questions_folder(study: Study, run: Run, task: str) -> Path:
    adapter, limit = adapter_folder(study, run), study.settings.max_prompts
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

    return store.produce(
        stage="capability",
        label=f"{_label(adapter)}-{task}",
        inputs=inputs,
        make=ask,
        reads=[adapter / ADAPTER_FILE],
    )


def _questions_hash(task: str) -> str:
    return data.content_hash(data.corpus_rows(task)) if task == capability.FOUR_CHOICE else "the harness's"


def _losses_folder(study: Study, run: Run) -> Path:
    adapter, examples = (
        adapter_folder(study, run),
        reference_loss.reference_examples()[: study.settings.max_prompts],
    )
    inputs = {
        "version": base.VERSIONS["reference-losses"],
        "adapter": store.key_in(adapter),
        "examples": data.content_hash(examples),
    }

    def measure(folder: Path) -> store.Facts:
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

    return store.produce(
        stage="reference-losses",
        label=_label(adapter),
        inputs=inputs,
        make=measure,
        reads=[adapter / ADAPTER_FILE],
    )


def _label(adapter: Path) -> str:
    return adapter.name.rsplit("-", 1)[0]


def _about(run: Run, rows: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame([{"n_safety": run.n_safety, "seed": run.seed} | row for row in rows])
