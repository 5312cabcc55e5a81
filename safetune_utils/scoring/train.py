"""How the book's own two models of answers are trained, from labelled answers, and their results published.

Both are linear probes on the embedded model: of refusals, fitted to the answers that the refusal rules do not
recognise, and of harm. The paper's harmfulness models were trained in another way, as whole models that
regress people's ratings. :mod:`safetune_utils.scoring.measured` compares both with people.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

import numpy as np
import pandas as pd
from pydantic import Field

from safetune_utils import data, places
from safetune_utils.data import Labelled
from safetune_utils.errors import SafetuneError
from safetune_utils.machine.files import write_json
from safetune_utils.models.identity import identity
from safetune_utils.presets import which_preset
from safetune_utils.scoring import harmfulness, probe, refusal
from safetune_utils.scoring.harmfulness_training import (
    benign_rows,
    classes_of,
    fit_harmfulness,
    is_called_harmful,
    labelled_sets,
    read_for_harm,
)
from safetune_utils.scoring.measured import (
    HarmfulnessAgreement,
    MeasuredAgreement,
    ModelAgreement,
    agreement_with_people,
    measure_harmfulness,
    measure_refusal,
    measure_sets_left_out,
    measure_styles,
)
from safetune_utils.scoring.refusal_training import fit_refusal, is_silent, read_for_refusal
from safetune_utils.settings import PresetName, Schema, checked
from safetune_utils.store import file_hash, is_made, produce, record_of, stage_folder

_OWN_SET = "Safe-RLHF-mini"  # whose questions are split into training, validation and test


class ScorerTraining(Schema):
    """Everything that decides the training of a small harmfulness model beside the book's own."""

    preset: PresetName = Field(
        "pocket", description="smoke takes a few rows; any other preset the defaults below"
    )
    n_train: int = Field(320, ge=8, le=1_000_000, description="labelled answers to train on")
    n_test: int = Field(
        120, ge=1, le=1_000_000, description="labelled answers to other questions, to measure it on"
    )
    seed: int = Field(0, ge=0, le=2**31 - 1, description="decides which labelled answers are taken")


def resolve_scorer_training(**parameters: Any) -> ScorerTraining:
    """The checked settings of training a small harmfulness model.

    Args:
        **parameters: fields of :class:`ScorerTraining`; ``None`` keeps a parameter's default.

    Raises:
        SafetuneError: an unknown name, a wrong type or a value out of range, in one line that says how to fix
            it.
    """
    given = {name: value for name, value in parameters.items() if value is not None}
    given["preset"] = which_preset(given.get("preset"))
    few = {"n_train": 8, "n_test": 8} if given["preset"] == "smoke" else {}
    return checked(ScorerTraining, few | given)


class _Published(TypedDict):
    """What every published result says first: the command, the size of the weights, PyTorch's threads."""

    made_by: str
    weights_bytes: int
    threads: int


class HarmfulnessResults(_Published):
    """The content of ``data/results/harmfulness.json``; ``counts`` are those of the test part, and
    ``trained_on`` says how many answers of each set the model was fitted to.
    """

    trained_on: dict[str, int]
    set_left_out: dict[str, MeasuredAgreement]
    counts: dict[str, int]
    validation: HarmfulnessAgreement
    test: HarmfulnessAgreement


class RefusalResults(_Published):
    """The content of ``data/results/refusal.json``; ``counts`` are those of the models left out in turn."""

    scorer_version: int
    trained_on: int
    agreement: dict[str, MeasuredAgreement]
    counts: dict[str, int]


def publish_harmfulness() -> HarmfulnessResults:
    """Train and measure the harmfulness model, and write ``data/results/harmfulness.json``.

    Raises:
        SafetuneError: the labelled rows cannot be fetched.
    """
    sets = {name: (rows, read_for_harm(rows)) for name, rows in labelled_sets().items()}
    others = benign_rows()
    benign = (others, read_for_harm(others))
    path = _write_weights(harmfulness.folder(), fit_harmfulness(sets, benign=benign))
    probe.weights.cache_clear()
    validation, test = measure_harmfulness(part="validation"), measure_harmfulness(part="test")
    found: HarmfulnessResults = {
        **_published("harmfulness", path),
        "trained_on": {name: len(rows) for name, (rows, _) in sets.items()} | {"without harm": len(others)},
        "counts": test["counts"],
        "validation": validation,
        "test": test,
        "set_left_out": measure_sets_left_out(sets, benign=benign),
    }
    _write("harmfulness", found)
    return found


class Trial(NamedTuple):
    """Small harmfulness models, fitted for a look at them, compared with a bag of words and the book's own.

    Attributes:
        agreement: with people, on the same answers to questions that none was trained on: ``model`` and, for
            each of ``accuracy, precision, recall, kappa``, the number with its bounds; ``n`` answers.
        why_not: why this table is empty; empty where it is not.
    """

    agreement: pd.DataFrame
    why_not: str


def trial(settings: ScorerTraining) -> Trial:
    """Fit to some of the labelled answers and measure on some of the answers to the test questions.

    What comes out is kept in the run store.
    """
    try:
        parts = data.split_by_prompt(data.harm_pairs())
    except SafetuneError as error:
        return Trial(pd.DataFrame(), str(error))
    return Trial(pd.DataFrame(record_of(_trial_folder(settings, parts))["facts"]["agreement"]), "")


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
    order = np.random.default_rng(settings.seed).permutation(len(parts["train"]))
    shuffled = [parts["train"][i] for i in order]
    # One of each class in turn, so that a few rows hold both.
    each = [[row for row in shuffled if row.label == label] for label in harmfulness.CLASSES]
    rows = [row for pair in zip_longest(*each) for row in pair if row][: settings.n_train]
    test = parts["test"][: settings.n_test]
    inputs = {
        "rows": [[row.id for row in some] for some in (rows, test)],
        "layer": harmfulness.LAYER,
        "base_model": identity("embedded"),
        "own": file_hash(harmfulness.folder() / probe.WEIGHTS_FILE),
    }

    def write(_: Path) -> Mapping[str, object]:
        return {"agreement": _compared(rows, test)}

    label = f"harmfulness-{len(rows)}"
    if not make:
        return stage_folder(stage="instruments", label=label, inputs=inputs)
    return produce(stage="instruments", label=label, inputs=inputs, make=write)


def _compared(rows: Sequence[Labelled], test: Sequence[Labelled]) -> list[ModelAgreement]:
    """The agreement with people of a bag of words, of the small models and of the book's own."""
    read, asked = read_for_harm(rows), read_for_harm(test)
    people = classes_of(test) == 1
    said = {f"a bag of words, on {len(rows)} answers": _by_words(rows, test)}
    for n in dict.fromkeys((max(2, len(rows) // 4), len(rows))):
        weights = fit_harmfulness({_OWN_SET: (rows[:n], read[:n])})
        said[f"trained here, on {n} answers"] = is_called_harmful(asked, weights=weights)
    said["the book's own"] = is_called_harmful(asked, weights=probe.weights(harmfulness.folder()))
    return [{"model": model, **agreement_with_people(people, found, test)} for model, found in said.items()]


def _by_words(rows: Sequence[Labelled], test: Sequence[Labelled]) -> np.ndarray:
    """What a logistic regression on the words of an answer, weighted by TF-IDF, says is harmful."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    words = TfidfVectorizer(sublinear_tf=True)
    learned = LogisticRegression(C=10, class_weight="balanced", max_iter=1000)
    learned.fit(words.fit_transform(row.response for row in rows), classes_of(rows))
    return learned.predict(words.transform(row.response for row in test)) == 1


def publish_refusal() -> RefusalResults:
    """Train and measure the refusal model, and write ``data/results/refusal.json``.

    Raises:
        SafetuneError: the labelled rows cannot be fetched.
    """
    rows, own = data.xstest_completions(), [row for row in data.own_responses() if is_silent([row])[0]]
    styled, further = [*data.styled_responses("train"), *data.styled_responses("test")], data.further_styles()
    read, own_read, styled_read, further_read = (
        read_for_refusal(one) for one in (rows, own, styled, further)
    )
    agreement = measure_refusal(rows, read, own=own, own_read=own_read)
    silent = is_silent(rows)
    told = [row for row, kept in zip(rows, silent, strict=True) if kept]
    labels = [row.label for row in (*told, *own)]
    path = _write_weights(refusal.folder(), fit_refusal(np.concatenate([read[silent], own_read]), labels))
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


def _write_weights(folder: Path, weights: dict[str, np.ndarray]) -> Path:
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    save_file(weights, folder / probe.WEIGHTS_FILE)
    return folder / probe.WEIGHTS_FILE


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
