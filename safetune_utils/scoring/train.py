"""How the book's own two models of answers are made, from labelled answers, and measured on what they never
saw.

The harmfulness model is an adapter. The paper's harmfulness models were made likewise from red-team
conversations with ratings; theirs regress a rating, ours answers yes or no, because its labels are yes or no.
The refusal model is a logistic regression on what the embedded model holds of an answer, learned on the
answers that the refusal rules say nothing of.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from pydantic import Field
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import load_file, save_file
from sklearn.linear_model import LogisticRegression

from safetune_utils import data, places, statistics
from safetune_utils.data import Labelled
from safetune_utils.data.mix import Mix
from safetune_utils.errors import SafetuneError
from safetune_utils.models import embedded
from safetune_utils.models.base_model import identity, load_base
from safetune_utils.scoring import embedded_judge, refusal, refusal_rules
from safetune_utils.scoring.embedded_judge import HARMFUL, Question
from safetune_utils.scoring.score import Score
from safetune_utils.settings import PresetName, Recipe, Schema, checked
from safetune_utils.store import file_hash, produce, read_record
from safetune_utils.training.finetune import finetune


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
    """Return the checked settings of training a small harmfulness model; ``None`` keeps a parameter's
    default.

    Raises:
        SafetuneError: an unknown name, a wrong type or a value out of range, in one line that names the mend.
    """
    given = {name: value for name, value in parameters.items() if value is not None}
    few = {"n_train": 8, "n_test": 8} if given.get("preset") == "smoke" else {}
    return checked(ScorerTraining, few | given)


# Set before anything was measured, and left alone.
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

# How freely the refusal model's weights may grow: scikit-learn's C, on standardised inputs. Chosen on models
# left out and on the styled answers' training half; small, because a freer model fits XSTest's prompts and is
# lost on another style.
REFUSAL_C = 0.003

_WORDS = {"harmless": "no", "harmful": "yes"}
_BINS = 10


def train(
    question: Question,
    *,
    rows: Sequence[Labelled],
    validation: Sequence[Labelled],
    folder: Path,
    recipe: Recipe = RECIPE,
    seed: int = SEED,
    progress: str = "",
) -> dict[str, Any]:
    """Train a question's adapter into a folder, kept in half precision so that it is small, and return the
    training's facts.
    """
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
    weights = load_file(folder / "adapter_model.safetensors")
    save_file(
        {name: tensor.half() for name, tensor in weights.items()},
        folder / "adapter_model.safetensors",
        metadata={"format": "pt"},
    )
    config = folder / "adapter_config.json"
    # PEFT notes the folder that the base model was loaded from, which is another one on each machine.
    settings = json.loads(config.read_text("utf-8")) | {"base_model_name_or_path": embedded.EMBEDDED_TITLE}
    config.write_text(json.dumps(settings, indent=1) + "\n", "utf-8")
    return facts


def _example(question: Question, row: Labelled) -> data.Example:
    return embedded_judge.example(
        question, prompt=row.prompt, response=row.response, id=row.id, word=_WORDS[row.label]
    )


def _asked(question: Question, rows: Sequence[Labelled], *, folder: Path) -> tuple[np.ndarray, float]:
    """The probabilities of a question's words, and the seconds that 1,000 rows take."""
    loaded = embedded_judge.load(folder)
    clock = time.perf_counter()
    said = embedded_judge.probabilities(
        [row.prompt for row in rows], [row.response for row in rows], question=question, loaded=loaded
    )
    return said, round((time.perf_counter() - clock) / len(rows) * 1000, 1)


def publish_harmfulness() -> dict[str, Any]:
    """Train and measure the harmfulness model, and write ``data/results/harmfulness.json``."""
    parts = data.split_by_prompt(data.harm_pairs())
    facts = train(
        HARMFUL,
        rows=parts["train"],
        validation=parts["validation"],
        folder=HARMFUL.folder,
        progress="training",
    )
    (HARMFUL.folder / "losses.csv").unlink()  # the record's facts say enough of it
    found = {part: measure_harmfulness(part=part) for part in ("validation", "test")}
    return _write(
        "harmfulness",
        {"facts": facts, "counts": found["test"]["counts"]} | found,
        HARMFUL.folder / "adapter_model.safetensors",
    )


class Trial(NamedTuple):
    """A small harmfulness model, trained to be looked at, beside the base model as it is and the book's own.

    Attributes:
        agreement: with people, on the same answers to questions that none was trained on: ``model`` and, for
            each of ``accuracy, precision, recall, kappa``, the figure with its bounds; ``n`` answers.
        losses: as :meth:`safetune_utils.study.Study.losses` has them, with ``n_safety`` for the rows trained
            on.
        why_not: why there is nothing in them; empty where there is.
    """

    agreement: pd.DataFrame
    losses: pd.DataFrame
    why_not: str


def trial(settings: ScorerTraining) -> Trial:
    """Train on some of the labelled answers and measure on some of the test questions' answers; kept in the
    run store.
    """
    try:
        parts = data.split_by_prompt(data.harm_pairs())
    except SafetuneError as error:
        return Trial(pd.DataFrame(), pd.DataFrame(), str(error))
    rows, test = parts["train"][: settings.n_train], parts["test"][: settings.n_test]
    validation = parts["validation"][: max(4, settings.n_test // 4)]
    recipe = RECIPE.model_copy(update={"epochs": settings.epochs, "learning_rate": settings.learning_rate})
    inputs = {
        "rows": [[row.id for row in some] for some in (rows, validation, test)], "recipe": recipe.model_dump(), "seed": settings.seed,
        "question": HARMFUL.text, "base_model": identity("embedded"), "own": file_hash(HARMFUL.folder / "adapter_model.safetensors"),
    }  # fmt: skip

    def make(folder: Path) -> dict[str, Any]:
        facts = train(
            HARMFUL,
            rows=rows,
            validation=validation,
            folder=folder,
            recipe=recipe,
            seed=settings.seed,
            progress=f"training on {len(rows)} answers",
        )
        asked = {
            "the base model as it is": load_base("embedded"),
            f"trained here, on {len(rows)} answers": embedded_judge.load(folder),
            "the book's own": embedded_judge.load(HARMFUL.folder),
        }
        people = np.array([row.label == "harmful" for row in test])
        found = []
        for model, loaded in asked.items():
            said = embedded_judge.probabilities(
                [row.prompt for row in test], [row.response for row in test], question=HARMFUL, loaded=loaded
            )
            found.append({"model": model} | _agreement(people, said[:, 1] > 0.5, test))
        return facts | {"agreement": found}

    folder = produce(stage="instruments", label=f"harmfulness-{len(rows)}", inputs=inputs, make=make)
    losses = pd.read_csv(folder / "losses.csv").assign(n_safety=len(rows), seed=settings.seed)
    return Trial(pd.DataFrame(read_record(folder)["facts"]["agreement"]), losses, "")


def measure_harmfulness(*, part: str = "test", n_rows: int | None = None) -> dict[str, Any]:
    """The harmfulness model beside people, on a part of the labelled rows: agreement, calibration, seconds
    per 1,000 rows.
    """
    rows = data.split_by_prompt(data.harm_pairs())[part][:n_rows]
    said, seconds = _asked(HARMFUL, rows, folder=HARMFUL.folder)
    people, found = np.array([row.label == "harmful" for row in rows]), said[:, 1] > 0.5
    return _agreement(people, found, rows) | {
        "questions": len({row.prompt for row in rows}), "harmful": int(people.sum()), "counts": statistics.case_counts(people, found),
        "calibration": calibration(said[:, 1], people).round(4).to_dict("records"), "seconds_per_1000": seconds,
    }  # fmt: skip


def calibration(said: np.ndarray, people: np.ndarray) -> pd.DataFrame:
    """In ten bins of one width: what the instrument said on average, and the share that people called
    harmful, with Wilson's interval.
    """
    bins = np.minimum((said * _BINS).astype(int), _BINS - 1)
    rows = []
    for number in range(_BINS):
        inside = bins == number
        if inside.any():
            share = statistics.share(pd.Series(people[inside]))
            rows.append(
                {
                    "said": float(said[inside].mean()),
                    "share": share.share,
                    "low": share.low,
                    "high": share.high,
                    "n": int(inside.sum()),
                }
            )
    return pd.DataFrame(rows)


def publish_refusal() -> dict[str, Any]:
    """Train and measure the refusal model, and write ``data/results/refusal.json``."""
    rows, own = data.xstest_completions(), [row for row in data.own_responses() if _silent([row])[0]]
    read, own_read = _read(rows), _read(own)
    agreement = measure_refusal(rows, read, own=own, own_read=own_read)
    silent = _silent(rows)
    refusal.folder().mkdir(parents=True, exist_ok=True)
    path = refusal.folder() / "weights.safetensors"
    labels = [row.label for row, kept in zip(rows, silent, strict=True) if kept] + [row.label for row in own]
    save_arrays(fit_refusal(np.concatenate([read[silent], own_read]), labels), path)
    agreement |= measure_styles()
    found = {
        "scorer_version": refusal.VERSION,
        "trained_on": len(labels),
        "agreement": agreement,
        "counts": agreement["model_left_out"]["counts"],
    }
    return _write("refusal", found, path)


def measure_refusal(
    rows: Sequence[Labelled], read: np.ndarray, *, own: Sequence[Labelled], own_read: np.ndarray
) -> dict[str, Any]:
    """The refusal model beside people, on answers of a model, on a type of prompt, and on both, that it was
    not trained on.

    Args:
        read: what :func:`refusal.reading` found of the rows, of shape (rows, 576).
        own, own_read: rows of the book's own that are always trained on, and what was found of them.
    """
    models_, kinds = np.array([row.model for row in rows]), np.array([row.kind for row in rows])
    people = np.array([row.label != "compliance" for row in rows])
    groups = {
        "model_left_out": [(models_ == model, models_ == model) for model in np.unique(models_)],
        "type_left_out": [(kinds == kind, kinds == kind) for kind in np.unique(kinds)],
        "both_left_out": [
            ((models_ == model) & (kinds == kind), (models_ == model) | (kinds == kind))
            for model in np.unique(models_)
            for kind in np.unique(kinds)
        ],
    }
    labels = np.array([row.label for row in rows])
    silent, by_rules = _silent(rows), np.array([score.label for score in _by_rules(rows)], dtype=object)
    left_out = {}
    for name, parts in groups.items():
        left_out[name] = by_rules.copy()  # what the rules find stands
        for inside, kept_away in parts:
            train, asked = silent & ~kept_away, silent & inside
            if asked.any():
                weights = fit_refusal(
                    np.concatenate([read[train], own_read]), [*labels[train], *(row.label for row in own)]
                )
                left_out[name][asked] = [
                    refusal.label_of(said) for said in refusal.probabilities(read[asked], weights=weights)
                ]
    found = {
        name: _agreement(people, said != "compliance", rows)
        | {"counts": statistics.case_counts(people, said != "compliance")}
        for name, said in left_out.items()
    }
    asked_of = left_out["model_left_out"]
    for model in np.unique(models_):
        inside = models_ == model
        found[str(model)] = _agreement(
            people[inside], asked_of[inside] != "compliance", [row for row in rows if row.model == model]
        )
    pairs = pd.crosstab(
        pd.Categorical(labels, refusal.LABELS), pd.Categorical(asked_of, refusal.LABELS), dropna=False
    )
    three = statistics.cohen_kappa(pairs.to_numpy(), answers=refusal.LABELS)
    found["three_classes"] = {
        "kappa": [round(float(value), 4) for value in (three.value, three.low, three.high)],
        "n": len(rows),
        "pairs": pairs.to_numpy().tolist(),
    }
    return found


def measure_styles() -> dict[str, Any]:
    """The refusal model and the rules alone beside the labels of answers in styles that it saw other rows of,
    by the file's own test half.
    """
    rows = data.styled_responses("test")
    labels = np.array([row.label != "compliance" for row in rows])
    scorers = {"styles": refusal.score, "styles_by_rules": refusal_rules.score}
    prompts, responses = [row.prompt for row in rows], [row.response for row in rows]
    return {
        name: _agreement(labels, np.array([one.value == 1 for one in score(prompts, responses)]), rows)
        for name, score in scorers.items()
    }


def fit_refusal(read: np.ndarray, labels: Sequence[str]) -> dict[str, np.ndarray]:
    """The refusal model's weights, in the form of :func:`refusal.weights`."""
    mean, scale = read.mean(axis=0), read.std(axis=0) + 1e-3
    classes = [refusal.LABELS.index(label) for label in labels]
    fitted = LogisticRegression(C=REFUSAL_C, max_iter=2000).fit((read - mean) / scale, classes)
    arrays = {"mean": mean, "scale": scale, "coefficients": fitted.coef_, "intercepts": fitted.intercept_}
    # Contiguous: the file would else hold the numbers of a transposed array in the wrong order.
    return {name: np.ascontiguousarray(array, dtype=np.float32) for name, array in arrays.items()}


def _silent(rows: Sequence[Labelled]) -> np.ndarray:
    """Where the rules find no refusal."""
    return np.array([score.value == 0 for score in _by_rules(rows)])


def _read(rows: Sequence[Labelled]) -> np.ndarray:
    return refusal.reading([row.prompt for row in rows], [row.response for row in rows], progress="reading")


def _by_rules(rows: Sequence[Labelled]) -> list[Score]:
    return refusal_rules.score([row.prompt for row in rows], [row.response for row in rows])


def _agreement(people: np.ndarray, found: np.ndarray, rows: Sequence[Labelled]) -> dict[str, Any]:
    result = statistics.agreement(
        people, found, clusters=[" ".join(row.prompt.lower().split()) for row in rows]
    )
    return {
        name: [round(float(value), 4) for value in getattr(result, name)]
        for name in ("accuracy", "precision", "recall", "kappa")
    } | {"n": result.n}


def _write(name: str, found: dict[str, Any], weights: Path) -> dict[str, Any]:
    found = {
        "made_by": f"safetune train-instrument {name}",
        "weights_bytes": weights.stat().st_size,
        "threads": torch.get_num_threads(),
    } | found
    (places.data_folder() / "results" / f"{name}.json").write_text(
        json.dumps(found, indent=1) + "\n", "utf-8"
    )
    return found
