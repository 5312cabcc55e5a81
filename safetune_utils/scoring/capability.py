"""Is the model still capable? Multiple-choice benchmarks, run as in the paper by EleutherAI's
lm-evaluation-harness.

``four_choice``, the embedded corpus's own questions, needs no network; ``boolq``, ``piqa`` and ``openbookqa``
are downloaded by the harness. The model never writes an answer: for each choice the harness takes the
log-likelihood of the choice's text after the question, and the likeliest choice is the model's. So a model
that refuses everything may still score well here; what it would *say* is measured by the other instruments.

Two metrics, both 0 to 1, higher is better, zero-shot:

- ``acc``: the choice with the highest log-likelihood is the right one. It favours short choices.
- ``acc_norm``: the same after dividing by the choice's length in characters.

Choices are never listed in the question, so their order plays no part. ``chance`` is the share that random
guessing gets; it is a lower bound for reading, not the score of the commonest answer (always "yes" gets about
.62 on BoolQ).
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import logging
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import pandas as pd

from safetune_utils.data import benchmarks, corpus_rows
from safetune_utils.errors import SafetuneError, first_line
from safetune_utils.places import extra

if TYPE_CHECKING:
    from datasets import Dataset
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

FOUR_CHOICE = "four_choice"
METRICS = ("acc", "acc_norm")
_VERSION = 1  # of four_choice's wording below; its content is the corpus's


def task_names() -> list[str]:
    """What :func:`evaluate` can run: the embedded questions, and benchmarks that the harness downloads."""
    return [FOUR_CHOICE, *(entry["task"] for entry in benchmarks())]


def is_installed() -> bool:
    """Whether the harness is installed; it is an optional dependency of the package."""
    return importlib.util.find_spec("lm_eval") is not None


def engine() -> str:
    """The harness and its version.

    Raises:
        SafetuneError: it is not installed.
    """
    if not is_installed():
        raise SafetuneError(f"capability needs lm-evaluation-harness: {extra('capability')}")
    return f"lm-eval {importlib.metadata.version('lm_eval')}"


def evaluate(
    *,
    model: PreTrainedModel | PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    tasks: Sequence[str] = (FOUR_CHOICE,),
    limit: int | None = None,
    batch_size: int = 16,
) -> pd.DataFrame:
    """Accuracy on benchmarks, one row for each task and metric.

    The arguments and errors are those of :func:`answer_questions`.

    Returns:
        ``task, metric, value`` (0 to 1, higher is better), ``stderr`` (the harness's: standard deviation of
        the sample over root n), ``n`` questions, ``chance`` (0 to 1), ``low, high`` (Wilson's 95 % interval).
    """
    return accuracy(
        answer_questions(model=model, tokenizer=tokenizer, tasks=tasks, limit=limit, batch_size=batch_size)
    )


def answer_questions(
    *,
    model: PreTrainedModel | PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    tasks: Sequence[str] = (FOUR_CHOICE,),
    limit: int | None = None,
    batch_size: int = 16,
) -> pd.DataFrame:
    """Run benchmarks and keep every question, so that two models can be compared question by question.

    Args:
        model: a loaded model, such as :func:`safetune_utils.models.base_model.load_base` gives, with an
            adapter or without. Load it in fp32 where numbers must not depend on the batch size.
        tokenizer: the model's.
        tasks: some of :func:`task_names`.
        limit: only so many questions of each task, from its start; for a quick try, since the start of a file
            is no sample (``four_choice`` is sorted by subject).
        batch_size: choices at a time.

    Returns:
        One row for each question and metric: ``task, question`` (its id, or its number where it has none),
        ``metric, correct`` (true or false), ``chance``. For a paired difference of two models index
        ``correct`` by ``question`` and give both to
        :func:`safetune_utils.statistics.changes.paired_difference`.

    Raises:
        SafetuneError: the harness is not installed, a task is unknown or its data cannot be loaded; before
            the model is used.
    """
    check_asked(tasks, limit=limit)
    # Imported here: the package is optional, and slow to import.
    from lm_eval.evaluator import evaluate as run_harness
    from lm_eval.models.huggingface import HFLM

    # The harness advises on models that it did not load itself and on task files of its own form.
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    loaded = {name: _load(name) for name in tasks}
    wrapped = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=batch_size)
    found = run_harness(
        lm=wrapped,
        task_dict={"tasks": loaded, "groups": {}},
        limit=limit,
        bootstrap_iters=0,
        log_samples=True,
    )
    rows = [
        {
            "task": name,
            "question": sample["doc"].get("id", str(sample["doc_id"])),
            "metric": metric,
            "correct": bool(sample[metric]),
            "chance": 1 / len(sample["resps"]),
        }
        for name in tasks
        for metric in METRICS
        for sample in found["samples"][name]
        if metric in sample
    ]
    return pd.DataFrame(rows)


def check_asked(tasks: Sequence[str], *, limit: int | None = None) -> None:
    """Check what :func:`answer_questions` is asked, without a model.

    Raises:
        SafetuneError: a task is unknown, the limit is below 1, or the harness is not installed.
    """
    known = task_names()
    if not tasks or (unknown := [name for name in tasks if name not in known]):
        raise SafetuneError(
            f"unknown benchmark '{unknown[0]}': choose from {', '.join(known)}"
            if tasks
            else f"no benchmark: choose from {', '.join(known)}"
        )
    if limit is not None and limit < 1:
        raise SafetuneError(
            f"limit is {limit}: give the number of questions, 1 or more, or leave it out for all"
        )
    engine()


def check_data(task: str) -> None:
    """Raise ``SafetuneError`` where a benchmark's data is not on this machine and cannot be fetched; fetch it
    where it can.
    """
    if task != FOUR_CHOICE:
        _load(task)


def accuracy(questions: pd.DataFrame) -> pd.DataFrame:
    """From :func:`answer_questions`'s table to :func:`evaluate`'s."""
    from safetune_utils.statistics import share

    rows = []
    for (task, metric), group in questions.groupby(["task", "metric"], sort=False):
        right = share(group["correct"])
        rows.append(
            {
                "task": task,
                "metric": metric,
                "value": right.value,
                "stderr": float(cast(float, group["correct"].astype(float).sem())),
                "n": right.n,
                "chance": float(group["chance"].mean()),
                "low": right.low,
                "high": right.high,
            }
        )
    return pd.DataFrame(rows, columns=["task", "metric", "value", "stderr", "n", "chance", "low", "high"])


def four_choice_config() -> dict[str, Any]:
    """The embedded questions as a task of the harness, in the form of its own task files."""
    return {
        "task": FOUR_CHOICE,
        "custom_dataset": partial(_four_choice_data, corpus_rows(FOUR_CHOICE)),
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "Question: {{question}}\nAnswer:",
        "doc_to_choice": "choices",
        "doc_to_target": "answer",
        "target_delimiter": " ",
        "num_fewshot": 0,
        "metric_list": [
            {"metric": metric, "aggregation": "mean", "higher_is_better": True} for metric in METRICS
        ],
        "metadata": {"version": _VERSION},
    }


def _four_choice_data(rows: list[dict[str, Any]], **_: Any) -> dict[str, Dataset]:
    """The data by the name of its split; the harness passes the task's metadata along."""
    from datasets import Dataset

    return {"test": Dataset.from_list(rows)}


def _load(name: str) -> Any:
    """A task of the harness with its data.

    Raises:
        SafetuneError: the data cannot be loaded.
    """
    from lm_eval.api.task import ConfigurableTask
    from lm_eval.tasks import TaskManager

    from safetune_utils.models.base_model import quiet_hub

    if name == FOUR_CHOICE:
        return ConfigurableTask(config=four_choice_config())
    try:
        with quiet_hub():
            return TaskManager().load([name])["tasks"][name]
    # What the hub's client raises without a network, or for a data set that moved.
    except (OSError, ValueError, RuntimeError) as error:
        source = next(entry["source"] for entry in benchmarks() if entry["task"] == name)
        raise SafetuneError(
            f"benchmark '{name}' cannot be had from {source} ({first_line(error)}): "
            f"check the network, or leave it out; {FOUR_CHOICE} needs none"
        ) from None
