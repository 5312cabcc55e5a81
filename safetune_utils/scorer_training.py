"""How the book's own harmfulness model is made: an adapter, trained on labelled answers, measured on questions it never saw.

The paper's harmfulness models were made likewise from red-team conversations with ratings; theirs regress a rating, ours
answers yes or no, because its labels are yes or no.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file, save_file

from safetune_utils import data, finetune, mixtures, models, stats
from safetune_utils.data import Labelled
from safetune_utils.scoring import yes_or_no
from safetune_utils.scoring.yes_or_no import HARMFUL, Question
from safetune_utils.settings import Recipe

# Set before anything was measured, and left alone.
RECIPE = Recipe(epochs=2, batch_size=16, micro_batch_tokens=2048, learning_rate=1e-3, max_length=512, n_validation=1, evaluations=3)
SEED = 0

_WORDS = {"harmless": "no", "harmful": "yes"}
_BINS = 10


# ------------------------------------------------------------------------------------------------------------- training


def train(
    question: Question, *, rows: Sequence[Labelled], validation: Sequence[Labelled], folder: Path, recipe: Recipe = RECIPE, progress: str = ""
) -> dict[str, Any]:
    """Train a question's adapter into a folder, kept in half precision so that it is small, and return the training's facts."""
    model, tokenizer = models.load_base("embedded")
    mix = mixtures.Mix(train=[_example(question, row) for row in rows], validation=[_example(question, row) for row in validation])
    facts = finetune.finetune(model=model, tokenizer=tokenizer, mix=mix, recipe=recipe, seed=SEED, output=folder, progress=progress or None)
    weights = load_file(folder / "adapter_model.safetensors")
    save_file({name: tensor.half() for name, tensor in weights.items()}, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    (folder / "losses.csv").unlink()  # the record's facts say enough of it
    config = folder / "adapter_config.json"
    # PEFT notes the folder that the base model was loaded from, which is another one on each machine.
    settings = json.loads(config.read_text("utf-8")) | {"base_model_name_or_path": models.EMBEDDED_TITLE}
    config.write_text(json.dumps(settings, indent=1) + "\n", "utf-8")
    return facts


def _example(question: Question, row: Labelled) -> data.Example:
    return yes_or_no.example(question, prompt=row.prompt, response=row.response, id=row.id, word=_WORDS[row.label])


def _asked(question: Question, rows: Sequence[Labelled], *, folder: Path) -> tuple[np.ndarray, float]:
    """The probabilities of a question's words, and the seconds that 1,000 rows take."""
    loaded = yes_or_no.load(folder)
    clock = time.perf_counter()
    said = yes_or_no.probabilities([row.prompt for row in rows], [row.response for row in rows], question=question, loaded=loaded)
    return said, round((time.perf_counter() - clock) / len(rows) * 1000, 1)


# ---------------------------------------------------------------------------------------------------------- harmfulness


def publish_harmfulness() -> dict[str, Any]:
    """Train and measure the harmfulness model, and write ``data/results/harmfulness.json``."""
    parts = data.split_by_prompt(data.harm_pairs())
    facts = train(HARMFUL, rows=parts["train"], validation=parts["validation"], folder=HARMFUL.folder, progress="training")
    found = {part: measure_harmfulness(part=part) for part in ("validation", "test")}
    return _write("harmfulness", {"facts": facts, "counts": found["test"]["counts"]} | found, HARMFUL)


def measure_harmfulness(*, part: str = "test", n_rows: int | None = None) -> dict[str, Any]:
    """The harmfulness model beside people, on a part of the labelled rows: agreement, calibration, seconds per 1,000 rows."""
    rows = data.split_by_prompt(data.harm_pairs())[part][:n_rows]
    said, seconds = _asked(HARMFUL, rows, folder=HARMFUL.folder)
    people, found = np.array([row.label == "harmful" for row in rows]), said[:, 1] > 0.5
    return _agreement(people, found, rows) | {
        "questions": len({row.prompt for row in rows}), "harmful": int(people.sum()), "counts": stats.case_counts(people, found),
        "calibration": calibration(said[:, 1], people).round(4).to_dict("records"), "seconds_per_1000": seconds,
    }  # fmt: skip


def calibration(said: np.ndarray, people: np.ndarray) -> pd.DataFrame:
    """In ten bins of one width: what the instrument said on average, and the share that people called harmful, with Wilson's interval."""
    bins = np.minimum((said * _BINS).astype(int), _BINS - 1)
    rows = []
    for number in range(_BINS):
        inside = bins == number
        if inside.any():
            share = stats.share(pd.Series(people[inside]))
            rows.append({"said": float(said[inside].mean()), "share": share.share, "low": share.low, "high": share.high, "n": int(inside.sum())})
    return pd.DataFrame(rows)


# --------------------------------------------------------------------------------------------------------------- shared


def _agreement(people: np.ndarray, found: np.ndarray, rows: Sequence[Labelled]) -> dict[str, Any]:
    result = stats.agreement(people, found, clusters=[" ".join(row.prompt.lower().split()) for row in rows])
    return {name: [round(float(value), 4) for value in getattr(result, name)] for name in ("accuracy", "precision", "recall", "kappa")} | {"n": result.n}


def _write(name: str, found: dict[str, Any], question: Question) -> dict[str, Any]:
    size = (question.folder / "adapter_model.safetensors").stat().st_size
    found = {"made_by": f"safetune train-instrument {name}", "weights_bytes": size, "threads": torch.get_num_threads()} | found
    (data.data_folder() / "results" / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    return found
