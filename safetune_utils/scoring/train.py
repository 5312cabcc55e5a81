"""How the book's own two models of answers are trained, from labelled answers, and their results published.

The harmfulness model is an adapter. The paper's harmfulness models were trained in a similar way from
red-team conversations with ratings; theirs regress a rating, ours answers yes or no, because its labels are
yes or no. The refusal model is a logistic regression on how the embedded model reads an answer, fitted to the
answers that the refusal rules do not recognise. :mod:`safetune_utils.scoring.measured` compares both with
people.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

import numpy as np
import pandas as pd
from pydantic import Field

from safetune_utils import data, places
from safetune_utils.data import Labelled
from safetune_utils.data.mix import Mix
from safetune_utils.errors import SafetuneError
from safetune_utils.machine.files import write_json
from safetune_utils.models.identity import ADAPTER_FILE, identity
from safetune_utils.presets import of_this_machine
from safetune_utils.scoring import embedded_judge, refusal
from safetune_utils.scoring.embedded_judge import HARMFUL, Question
from safetune_utils.scoring.measured import (
    HarmfulnessAgreement,
    MeasuredAgreement,
    ModelAgreement,
    agreement_with_people,
    measure_harmfulness,
    measure_refusal,
    measure_styles,
)
from safetune_utils.scoring.refusal_training import fit_refusal, is_silent
from safetune_utils.settings import PresetName, Recipe, Schema, checked
from safetune_utils.store import file_hash, is_made, produce, record_of, stage_folder

if TYPE_CHECKING:
    from safetune_utils.training.finetune import TrainingFacts


class ScorerTraining(Schema):
    """Everything that decides the training of a small harmfulness model beside the book's own."""

    preset: PresetName = Field(
        "pocket", description="smoke takes a few rows; any other preset the defaults below"
    )
    n_train: int = Field(160, ge=1, le=1_000_000, description="labelled answers to train on")
    n_test: int = Field(
        120, ge=1, le=1_000_000, description="labelled answers to other questions, to measure it on"
    )
    epochs: int = Field(2, ge=1, le=100, description="passes over the training rows")
    learning_rate: float = Field(1e-3, gt=0, le=0.1, description="peak learning rate of AdamW")
    seed: int = Field(
        0, ge=0, le=2**31 - 1, description="decides the adapter's start and the order of the rows"
    )


def resolve_scorer_training(**parameters: Any) -> ScorerTraining:
    """The checked settings of training a small harmfulness model.

    Args:
        **parameters: fields of :class:`ScorerTraining`; ``None`` keeps a parameter's default.

    Raises:
        SafetuneError: an unknown name, a wrong type or a value out of range, in one line that says how to fix
            it.
    """
    given = {name: value for name, value in parameters.items() if value is not None}
    if given.get("preset") == "auto":
        given["preset"] = of_this_machine()
    few = {"n_train": 8, "n_test": 8} if given.get("preset") == "smoke" else {}
    return checked(ScorerTraining, few | given)


# Set before anything was measured, and not changed since.
RECIPE = Recipe(
    epochs=2,
    batch_size=16,
    micro_batch_tokens=2048,
    learning_rate=1e-3,
    max_length=512,
    n_validation=1,
    evaluations=3,
)
SEED = 0

_WORDS = {"harmless": "no", "harmful": "yes"}


class _Published(TypedDict):
    """What every published result says first: the command, the size of the weights, PyTorch's threads."""

    made_by: str
    weights_bytes: int
    threads: int


class HarmfulnessResults(_Published):
    """The content of ``data/results/harmfulness.json``; ``counts`` are those of the test part."""

    facts: TrainingFacts
    counts: dict[str, int]
    validation: HarmfulnessAgreement
    test: HarmfulnessAgreement


class RefusalResults(_Published):
    """The content of ``data/results/refusal.json``; ``counts`` are those of the models left out in turn."""

    scorer_version: int
    trained_on: int
    agreement: dict[str, MeasuredAgreement]
    counts: dict[str, int]


def train(
    question: Question,
    *,
    rows: Sequence[Labelled],
    validation: Sequence[Labelled],
    folder: Path,
    recipe: Recipe = RECIPE,
    seed: int = SEED,
    progress: str = "",
) -> TrainingFacts:
    """Train a question's adapter into a folder, kept in half precision so that it is small.

    Args:
        question: what the adapter learns to answer.
        rows, validation: labelled answers to train on, and to measure the validation loss on.
        folder: where the adapter is written, with the losses of all steps.
        recipe: how it is trained.
        seed: decides the adapter's start and the order of the rows.
        progress: a label for the progress bar; empty for none.

    Raises:
        SafetuneError: see :func:`safetune_utils.training.finetune.finetune`.
    """
    from safetensors.torch import load_file, save_file

    from safetune_utils.models.base_model import load_base
    from safetune_utils.training.finetune import finetune

    model, tokenizer = load_base("embedded")
    mix = Mix(
        train=[_example(question, row) for row in rows],
        validation=[_example(question, row) for row in validation],
    )
    facts = finetune(
        model=model,
        tokenizer=tokenizer,
        mix=mix,
        recipe=recipe,
        seed=seed,
        output=folder,
        progress=progress or None,
    )
    weights = load_file(folder / ADAPTER_FILE)
    save_file(
        {name: tensor.half() for name, tensor in weights.items()},
        folder / ADAPTER_FILE,
        metadata={"format": "pt"},
    )
    return facts


def _example(question: Question, row: Labelled) -> data.Example:
    return embedded_judge.example(
        question, prompt=row.prompt, response=row.response, id=row.id, word=_WORDS[row.label]
    )


def publish_harmfulness() -> HarmfulnessResults:
    """Train and measure the harmfulness model, and write ``data/results/harmfulness.json``.

    Raises:
        SafetuneError: the labelled rows cannot be fetched.
    """
    parts = data.split_by_prompt(data.harm_pairs())
    facts = train(
        HARMFUL,
        rows=parts["train"],
        validation=parts["validation"],
        folder=HARMFUL.folder,
        progress="training",
    )
    (HARMFUL.folder / "losses.csv").unlink()  # the record's facts say enough of it
    validation, test = measure_harmfulness(part="validation"), measure_harmfulness(part="test")
    found: HarmfulnessResults = {
        **_published("harmfulness", HARMFUL.folder / ADAPTER_FILE),
        "facts": facts,
        "counts": test["counts"],
        "validation": validation,
        "test": test,
    }
    _write("harmfulness", found)
    return found


class Trial(NamedTuple):
    """A small harmfulness model, trained for a look at it, compared with the base model and the book's own.

    Attributes:
        agreement: with people, on the same answers to questions that none was trained on: ``model`` and, for
            each of ``accuracy, precision, recall, kappa``, the number with its bounds; ``n`` answers.
        losses: of each step, in nats per token: ``step, train_loss, validation_loss``, with ``n_safety`` for
            the number of rows trained on, and ``seed``.
        why_not: why these tables are empty; empty where they are not.
    """

    agreement: pd.DataFrame
    losses: pd.DataFrame
    why_not: str


def trial(settings: ScorerTraining) -> Trial:
    """Train on some of the labelled answers and measure on some of the answers to the test questions.

    What comes out is kept in the run store.
    """
    try:
        parts = data.split_by_prompt(data.harm_pairs())
    except SafetuneError as error:
        return Trial(pd.DataFrame(), pd.DataFrame(), str(error))
    folder = _trial_folder(settings, parts)
    n_trained = len(parts["train"][: settings.n_train])
    losses = pd.read_csv(folder / "losses.csv").assign(n_safety=n_trained, seed=settings.seed)
    return Trial(pd.DataFrame(record_of(folder)["facts"]["agreement"]), losses, "")


def is_tried(settings: ScorerTraining) -> bool:
    """Whether :func:`trial` has nothing to make: it was made before, or the labelled rows cannot be had."""
    try:
        parts = data.split_by_prompt(data.harm_pairs())
    except SafetuneError:
        return True
    return is_made(_trial_folder(settings, parts, make=False))


def _trial_folder(
    settings: ScorerTraining, parts: Mapping[str, Sequence[Labelled]], *, make: bool = True
) -> Path:
    rows, test = parts["train"][: settings.n_train], parts["test"][: settings.n_test]
    validation = parts["validation"][: max(4, settings.n_test // 4)]
    recipe = RECIPE.model_copy(update={"epochs": settings.epochs, "learning_rate": settings.learning_rate})
    inputs = {
        "rows": [[row.id for row in some] for some in (rows, validation, test)],
        "recipe": recipe.model_dump(),
        "seed": settings.seed,
        "question": HARMFUL.text,
        "base_model": identity("embedded"),
        "own": file_hash(HARMFUL.folder / ADAPTER_FILE),
    }

    def write(folder: Path) -> Mapping[str, object]:
        facts = train(
            HARMFUL,
            rows=rows,
            validation=validation,
            folder=folder,
            recipe=recipe,
            seed=settings.seed,
            progress=f"training on {len(rows)} answers",
        )
        return facts | {"agreement": _compared(folder, n_trained=len(rows), test=test)}

    label = f"harmfulness-{len(rows)}"
    if not make:
        return stage_folder(stage="instruments", label=label, inputs=inputs)
    return produce(stage="instruments", label=label, inputs=inputs, make=write)


def _compared(folder: Path, *, n_trained: int, test: Sequence[Labelled]) -> list[ModelAgreement]:
    """The agreement with people of the base model, of the one in a folder, and of the book's own."""
    from safetune_utils.models.base_model import load_base

    asked = {
        "the base model as it is": load_base("embedded"),
        f"trained here, on {n_trained} answers": embedded_judge.load(folder),
        "the book's own": embedded_judge.load(HARMFUL.folder),
    }
    prompts, responses = [row.prompt for row in test], [row.response for row in test]
    people = np.array([row.label == "harmful" for row in test])
    found: list[ModelAgreement] = []
    for model, loaded in asked.items():
        said = embedded_judge.probabilities(prompts, responses, question=HARMFUL, loaded=loaded)
        found.append({"model": model, **agreement_with_people(people, said[:, 1] > 0.5, test)})
    return found


def publish_refusal() -> RefusalResults:
    """Train and measure the refusal model, and write ``data/results/refusal.json``.

    Raises:
        SafetuneError: the labelled rows cannot be fetched.
    """
    from safetensors.numpy import save_file

    rows, own = data.xstest_completions(), [row for row in data.own_responses() if is_silent([row])[0]]
    styled, further = [*data.styled_responses("train"), *data.styled_responses("test")], data.further_styles()
    read, own_read, styled_read, further_read = (_read(one) for one in (rows, own, styled, further))
    agreement = measure_refusal(rows, read, own=own, own_read=own_read)
    silent = is_silent(rows)
    told = [row for row, kept in zip(rows, silent, strict=True) if kept]
    refusal.folder().mkdir(parents=True, exist_ok=True)
    path = refusal.folder() / "weights.safetensors"
    labels = [row.label for row in (*told, *own)]
    save_file(fit_refusal(np.concatenate([read[silent], own_read]), labels), path)
    ids = {row.id for row in styled}
    plain = np.array([row.id not in ids for row in own])
    agreement |= measure_styles(
        [*told, *(row for row, kept in zip(own, plain, strict=True) if kept)],
        np.concatenate([read[silent], own_read[plain]]),
        styled=styled,
        styled_read=styled_read,
        further=further,
        further_read=further_read,
    )
    found: RefusalResults = {
        **_published("refusal", path),
        "scorer_version": refusal.VERSION,
        "trained_on": len(labels),
        "agreement": agreement,
        "counts": agreement["model_left_out"]["counts"],
    }
    _write("refusal", found)
    return found


def _read(rows: Sequence[Labelled]) -> np.ndarray:
    return refusal.reading([row.prompt for row in rows], [row.response for row in rows], progress="reading")


def _published(name: str, weights: Path) -> _Published:
    import torch

    return {
        "made_by": f"safetune train-instrument {name}",
        "weights_bytes": weights.stat().st_size,
        "threads": torch.get_num_threads(),
    }


def _write(name: str, found: Mapping[str, object]) -> None:
    path = places.data_folder() / "results" / f"{name}.json"
    write_json(path, found)
