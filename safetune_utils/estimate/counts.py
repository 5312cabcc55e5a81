"""Counts behind an estimate: rows, prompts and their tokens."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from safetune_utils import data, places
from safetune_utils.data.mix import held_out_safety, mix, topics_in_turn
from safetune_utils.errors import SafetuneError
from safetune_utils.generation.generate import encode_prompt
from safetune_utils.models.template import render
from safetune_utils.settings import Settings
from safetune_utils.training.finetune import encode_row
from safetune_utils.training.shared_prefix import n_shared

# Tokens of a row and how many of them are the answer's: means over the 2,000-row sample of Alpaca data, over
# the paper's safety rows and over the corpus's contrast rows, by the embedded model's tokenizer. A prompt of
# the paper's sets likewise: the mean, the longest, and what all begin with.
GUESSED_TOKENS = {"general": (112, 60), "safety": (113, 72), "contrast": (88, 46)}
GUESSED_PROMPT = {"tokens": 43, "longest": 73, "shared": 24}
_SAMPLE = 1000  # rows of a pool that are tokenised


def count_rows(settings: Settings) -> dict[str, Any]:
    """Rows and tokens of a study's training, counted where the data is at hand and else assumed (``counted``
    says which).

    ``tokens`` and ``learned`` are means a row, by kind of row; ``longest`` is the longest row; ``adapters``
    has one entry for each amount and seed: ``n_safety, seed, rows, validation_rows``.

    Raises:
        SafetuneError: the data at hand has too few rows, or is not there.
    """
    s, recipe = settings, settings.recipe
    sources = {"general": s.general_data or s.data, "safety": s.safety_data or s.data}
    pools = {kind: _pool(kind, source) for kind, source in sources.items()}
    if s.mixing.n_contrast:
        pools["contrast"] = data.contrast_examples() if s.data == "embedded" else []
    if pools["general"] and pools["safety"]:
        # Drawing the largest mix tells of too few rows as running it would. The paper's questions would first
        # have to be matched.
        ready = sources["safety"] in ("paper", "paper-sample")
        mix(
            **pools, n_general=s.n_general, n_safety=max(s.safety_amounts), safety_format="instruction" if ready else s.safety_format,
            n_validation=recipe.n_validation, seed=s.seeds[0], validation=recipe.validation, mixing=s.mixing,
            places=topics_in_turn if s.mixing.choice == "topics" else None,
        )  # fmt: skip
    found = _tokenizer(s.base_model)
    tokens, learned, longest, counted = {}, {}, [], []
    for kind, pool in pools.items():
        if found and pool:
            sample = pool[:: max(1, len(pool) // _SAMPLE)]
            rows = [
                encode_row(found[0], row, max_length=recipe.max_length, loss_on=recipe.loss_on)
                for row in sample
            ]
            lengths = [len(row.ids) for row in rows]
            tokens[kind] = sum(lengths) / len(rows)
            learned[kind] = sum(label != -100 for row in rows for label in row.labels[1:]) / len(rows)
            longest.append(max(lengths))
            counted.append(kind)
        else:
            tokens[kind] = min(GUESSED_TOKENS[kind][0], recipe.max_length)
            learned[kind] = (
                tokens[kind] - 1
                if recipe.loss_on == "everything"
                else min(GUESSED_TOKENS[kind][1], tokens[kind])
            )
            longest.append(recipe.max_length)
    size = (
        sum(row.topic not in s.mixing.topics_left_out for row in pools["safety"]) if pools["safety"] else None
    )
    return {
        "tokens": tokens, "learned": learned, "longest": max(longest), "counted": counted, "tokenizer": found[1] if found else None,
        "adapters": [{"n_safety": n, "seed": seed} | _rows_of_a_mix(s, n, size) for seed in s.seeds for n in s.safety_amounts],
    }  # fmt: skip


def _rows_of_a_mix(settings: Settings, n_safety: int, pool: int | None) -> dict[str, int]:
    """Rows to train on and to validate with, as :func:`safetune_utils.data.mix.mix` draws them."""
    n, recipe = settings.n_general + n_safety + settings.mixing.n_contrast, settings.recipe
    if recipe.validation == "from_mix":
        if recipe.n_validation >= n:
            raise SafetuneError(
                f"n_validation is {recipe.n_validation}, but the mix has {n} rows: choose fewer"
            )
        return {"rows": n - recipe.n_validation, "validation_rows": recipe.n_validation}
    held_out = recipe.n_validation if pool is None else held_out_safety(pool, recipe.n_validation)
    return {
        "rows": n,
        "validation_rows": recipe.n_validation
        + min(held_out, math.ceil(recipe.n_validation * n_safety / settings.n_general)),
    }


def _pool(kind: str, source: str) -> list[data.Example] | None:
    """The rows of a source, or ``None`` where they would have to be fetched."""
    if source in ("paper", "paper-sample"):
        name = (
            "safety-instructions"
            if kind == "safety"
            else {"paper": "alpaca-20000", "paper-sample": "alpaca-2000"}[source]
        )
        if not data.is_at_hand(name):
            return None
    elif (
        source != "embedded"
        and re.fullmatch(r"[\w.-]+/[\w.-]+(:[\w.-]+)?", source)
        and not Path(source).exists()
        and not Path(source).suffix
    ):
        return None  # a data set of the Hub
    return data.general_examples(source) if kind == "general" else data.safety_examples(source)


def count_prompts(settings: Settings, prompt_sets: Sequence[str] | None = None) -> dict[str, Any]:
    """Prompts of a study by set, with ``tokens`` (mean), ``longest`` and ``shared``, the tokens that all of
    them begin with.

    ``counted`` names the sets whose texts were read; where there are none, the tokens are assumed.

    Args:
        prompt_sets: names of :data:`safetune_utils.data.PROMPT_SETS`; by default all that the data source
            has.

    Raises:
        SafetuneError: the source has no such set.
    """
    source = settings.data
    there = data.available_prompt_sets(source)
    if not there and not Path(source).expanduser().is_dir():
        raise SafetuneError(
            f"data is {source!r}, which has no prompts: choose embedded, paper, paper-sample, or a folder that exists"
        )
    found = _tokenizer(settings.base_model)
    sizes, encoded, counted = {}, [], []
    for name in there if prompt_sets is None else prompt_sets:
        if name not in there:
            raise SafetuneError(f"data '{source}' has no prompt set '{name}': choose from {', '.join(there)}")
        registered = (
            data.set_title(source, name).split(",")[0] if source in ("paper", "paper-sample") else None
        )
        if registered and not data.is_at_hand(registered):
            sizes[name] = {"lookalikes_safe": 250, "lookalikes_unsafe": 200}.get(
                name
            ) or data.registered_sets()[registered].rows
        else:
            asked = data.prompts(source, name)
            sizes[name] = len(asked)
            if found:
                encoded += [
                    encode_prompt(
                        found[0],
                        render(instruction=prompt.text, input=prompt.input, guard=settings.decoding.guard),
                    )
                    for prompt in asked
                ]
                counted.append(name)
        sizes[name] = min(sizes[name], settings.max_prompts or sizes[name])
    lengths = [len(ids) for ids in encoded]
    if not encoded:
        return {"sets": sizes, "counted": counted} | GUESSED_PROMPT
    return {
        "sets": sizes,
        "counted": counted,
        "tokens": sum(lengths) / len(lengths),
        "longest": max(lengths),
        "shared": n_shared(encoded),
    }


def _tokenizer(base_model: str) -> tuple[Any, str] | None:
    """The base model's tokenizer if it lies in a folder, else the embedded model's if that was converted
    already.
    """
    folder = Path(base_model).expanduser()
    if base_model != "embedded" and (folder / "tokenizer.json").is_file():
        return AutoTokenizer.from_pretrained(folder), "its own tokenizer"
    record = next(places.cache_folder().glob("models/smollm2-135m-bf16-*/record.json"), None)
    return (
        (AutoTokenizer.from_pretrained(record.parent), "the embedded model's tokenizer") if record else None
    )
