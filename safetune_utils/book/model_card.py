"""The card of an adapter for the Hugging Face hub, made from its record: nothing in it is typed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from safetune_utils import statistics, store
from safetune_utils.book.words import brief
from safetune_utils.data import registered_sets
from safetune_utils.data.files import read_table
from safetune_utils.errors import SafetuneError
from safetune_utils.models.identity import EMBEDDED_TITLE
from safetune_utils.settings import Recipe, shown_name

_EMBEDDED_ID = "HuggingFaceTB/SmolLM2-135M-Instruct"
# Sets of the paper whose rows train an adapter.
_PAPER_SETS = ("alpaca-20000", "safety-instructions")


def card(folder: Path, *, scores: Mapping[str, Path]) -> str:
    """The card of an adapter that ``safetune finetune`` or a study made.

    Args:
        folder: the adapter's, with its record.
        scores: files that ``safetune score`` wrote of its answers, by what was measured; scores of 0 and 1
            are told as a share, others as a mean, each with a 95 % interval.

    Raises:
        SafetuneError: there is no record, or a file holds no scores.
    """
    try:
        record: Mapping[str, Any] = store.parse_record(folder / "record.json")
    except store.NotMadeError as fault:
        raise SafetuneError(f"{folder} {fault}: give a folder that `safetune finetune` wrote") from None
    measured = [f"- {name}: {_measured(path)}" for name, path in scores.items()]
    try:
        return _card(record, measured)
    except (KeyError, TypeError, ValueError):
        raise SafetuneError(
            f"{folder} holds no record of an adapter: give a folder that `safetune finetune` wrote"
        ) from None


def _card(record: Mapping[str, Any], measured: list[str]) -> str:
    facts, inputs = record["facts"], record["inputs"]
    base, data = facts["base_model"], facts["data"]
    licence, terms = _licence(data)
    head = {
        "base_model": _EMBEDDED_ID if base == EMBEDDED_TITLE else base,
        "library_name": "peft",
        "license": licence,
        "tags": ["lora", "safety-tuning"],
    }
    recipe = Recipe.model_validate(inputs["recipe"]).model_dump()
    n_other = facts["rows"] - facts["n_safety"]
    rows = {
        "base model": f"{base} ({inputs['base_model']})",
        "data": f"{shown_name(data)}: {n_other} other and {facts['n_safety']} safety rows",
        "terms of the data": terms,
        "seed": inputs["seed"],
        "steps": f"{facts['steps']}, the weights are those of step {facts['best_step']}",
        "validation loss": f"{facts['best_validation_loss']:.3f}",
        "numbers computed in": inputs["arithmetic"],
        "versions": ", ".join(f"{name} {of}" for name, of in record["versions"].items()),
        "made": f"{record['started']}, code {record['code']}, in {record['seconds']:.0f} s",
    }
    parts = [
        f"---\n{yaml.safe_dump(head, sort_keys=False)}---",
        f"# {base}, safety-tuned with {facts['n_safety']} examples",
        "A LoRA adapter in PEFT's form, made with the runnable book of *Safety-Tuned LLaMAs* (Bianchi et al.,"
        " ICLR 2024, arXiv 2309.07875) to study how safety data changes a model. It is for research.",
        "## How it was made",
        "\n".join(f"- {name}: {value}" for name, value in rows.items()),
        f"Recipe: `{json.dumps(recipe)}`",
        "## What was measured",
        "\n".join(measured) if measured else "Nothing was measured of this adapter.",
        "## Limits",
        "It was trained on few rows and declines by the wording that these have. It may answer what it should"
        " decline, and decline what it should answer. Intervals cover the choice of prompts, not that of the"
        " training run. Do not put it in front of people as a safeguard.",
    ]
    return "\n\n".join(parts) + "\n"


def _licence(data: str) -> tuple[str, str]:
    """The licence of the hub's list that the data leaves, and the terms in words."""
    if data == "embedded":
        return "cc-by-4.0", "CC-BY-4.0 (the book's own corpus)"
    if data in ("paper", "paper-sample"):
        sets = registered_sets()
        named = ", ".join(f"{name} {sets[name].licence}" for name in _PAPER_SETS)
        return "cc-by-nc-4.0", f"{named}: not for commercial use"
    return "other", "not known here: see to the terms of your own data"


def _measured(path: Path) -> str:
    rows = read_table(path).rows
    found = [row.get("value") for row in rows]
    # A CSV holds numbers as texts.
    told = pd.Series([one if isinstance(one, str | int | float) else None for one in found], dtype=object)
    values = pd.to_numeric(told, errors="coerce").astype("float64")
    unscored = pd.Series(["unscored" in row for row in rows], dtype=bool)
    scored = values.dropna()
    if not len(scored) or (values.isna() & ~unscored).any() or not np.isfinite(scored).all():
        raise SafetuneError(f"{path} holds no scores: give a file that `safetune score` wrote")
    if scored.isin([0.0, 1.0]).all():
        return brief(statistics.share(values.map({0.0: False, 1.0: True})))
    table = pd.DataFrame({"all": 0, "row": scored.index, "value": scored})
    (mean,) = statistics.means(table, by="all", unit="row", value="value").itertuples()
    return f"{mean.value:.2f} ({mean.low:.2f} to {mean.high:.2f}, n = {mean.n})"
