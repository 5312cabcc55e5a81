"""Counts behind an estimate: rows, prompts and their tokens."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from safetune_utils import data, places
from safetune_utils.data.mix import held_out_safety, mix, topics_in_turn
from safetune_utils.errors import SafetuneError
from safetune_utils.estimate.result import AdapterCounts, PromptCounts, PromptTokens, TrainingCounts
from safetune_utils.models.template import encode_prompt, prompt_text
from safetune_utils.scoring.controls import CONTROL_SETS, FORMS
from safetune_utils.settings import Reading, Recipe, Settings
from safetune_utils.training.rows import IGNORED, encode_row

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# Tokens of a row and how many of them are the answer's: means over the 2,000-row sample of Alpaca data, over
# the paper's safety rows and over the corpus's contrast rows, by the embedded model's tokenizer. A prompt of
# the paper's sets likewise: the mean, the longest, and what all begin with.
GUESSED_TOKENS = {"general": (112, 60), "safety": (113, 72), "contrast": (88, 46)}
GUESSED_PROMPT: PromptTokens = {"tokens": 43, "longest": 73, "shared": 24}
_SAMPLE = 1000  # rows of a pool that are tokenised

_PAPER_SOURCES = {"paper": "alpaca-20000", "paper-sample": "alpaca-2000"}  # source -> its general set


def count_rows(settings: Settings) -> TrainingCounts:
    """Rows and tokens of a study's training, counted where the data can be read without a download, else
    assumed.

    Raises:
        SafetuneError: the data that can be read has too few rows, or does not exist.
    """
    s, recipe = settings, settings.recipe
    pools = read_pools(s)
    safety = pools["safety"]
    found = _tokenizer(s.base_model)
    lengths = {
        kind: _counted_lengths(pool, s, found[0]) if found and pool else _guessed_lengths(kind, recipe)
        for kind, pool in pools.items()
    }
    size = sum(row.topic not in s.mixing.topics_left_out for row in safety) if safety else None
    return {
        "tokens": {kind: length.tokens for kind, length in lengths.items()},
        "learned": {kind: length.learned for kind, length in lengths.items()},
        "longest": max(length.longest for length in lengths.values()),
        "counted": [kind for kind, pool in pools.items() if found and pool],
        "tokenizer": found[1] if found else None,
        "adapters": [_adapter(s, n, seed, size) for seed in s.seeds for n in s.safety_amounts],
    }


def read_pools(settings: Settings) -> dict[str, list[data.Example] | None]:
    """The rows that mixes are drawn from by kind; ``None`` where they would have to be downloaded.

    Raises:
        SafetuneError: the data that can be read has too few rows, or does not exist.
    """
    s = settings
    general = _pool("general", s.general_data or s.data, s.reading)
    safety = _pool("safety", s.safety_data or s.data, s.reading)
    pools = {"general": general, "safety": safety}
    if s.mixing.n_contrast:
        pools["contrast"] = data.contrast_examples() if s.data == "embedded" else []
    if general and safety:
        _check_sizes(s, general=general, safety=safety, contrast=pools.get("contrast") or [])
    return pools


def guess_rows(settings: Settings) -> TrainingCounts:
    """What :func:`count_rows` gives where no text is counted: the longest row is as long as the cut-off."""
    kinds = ["general", "safety", *(["contrast"] if settings.mixing.n_contrast else [])]
    lengths = {kind: _guessed_lengths(kind, settings.recipe) for kind in kinds}
    return {
        "tokens": {kind: length.tokens for kind, length in lengths.items()},
        "learned": {kind: length.learned for kind, length in lengths.items()},
        "longest": max(length.longest for length in lengths.values()),
        "counted": [],
        "tokenizer": None,
        "adapters": [],
    }


def _check_sizes(
    settings: Settings,
    *,
    general: list[data.Example],
    safety: list[data.Example],
    contrast: list[data.Example],
) -> None:
    """Draw the largest mix, which fails for too few rows as running the study would."""
    # The paper's questions would first have to be matched, so its instructions stand for them.
    released = (settings.safety_data or settings.data) in _PAPER_SOURCES
    mix(
        general=general,
        safety=safety,
        contrast=contrast,
        n_general=settings.n_general,
        n_safety=max(settings.safety_amounts),
        safety_format="instruction" if released else settings.safety_format,
        n_validation=settings.recipe.n_validation,
        seed=settings.seeds[0],
        validation=settings.recipe.validation,
        mixing=settings.mixing,
        places=topics_in_turn if settings.mixing.choice == "topics" else None,
    )


class _Lengths(NamedTuple):
    """Tokens of a pool's rows: the mean, how many of them are learned on average, and the longest row."""

    tokens: float
    learned: float
    longest: int


def _counted_lengths(
    pool: list[data.Example], settings: Settings, tokenizer: PreTrainedTokenizerBase
) -> _Lengths:
    recipe = settings.recipe
    sample = pool[:: max(1, len(pool) // _SAMPLE)]
    rows = [
        encode_row(
            tokenizer,
            row,
            max_length=recipe.max_length,
            loss_on=recipe.loss_on,
            template=settings.template,
        )
        for row in sample
    ]
    lengths = [len(row.ids) for row in rows]
    learned = sum(label != IGNORED for row in rows for label in row.labels[1:])
    return _Lengths(sum(lengths) / len(rows), learned / len(rows), max(lengths))


def _guessed_lengths(kind: str, recipe: Recipe) -> _Lengths:
    tokens = min(GUESSED_TOKENS[kind][0], recipe.max_length)
    learned = tokens - 1 if recipe.loss_on == "everything" else min(GUESSED_TOKENS[kind][1], tokens)
    return _Lengths(tokens, learned, recipe.max_length)


def _adapter(settings: Settings, n_safety: int, seed: int, pool: int | None) -> AdapterCounts:
    """Rows to train on and to validate with, as :func:`safetune_utils.data.mix.mix` draws them.

    ``pool`` is how many safety rows there are to draw from, ``None`` where that is not known.
    """
    n, recipe = settings.n_general + n_safety + settings.mixing.n_contrast, settings.recipe
    if recipe.validation == "from_mix":
        if recipe.n_validation >= n:
            raise SafetuneError(
                f"n_validation is {recipe.n_validation}, but the mix has {n} rows: choose fewer"
            )
        rows, validation_rows = n - recipe.n_validation, recipe.n_validation
    else:
        held_out = recipe.n_validation if pool is None else held_out_safety(pool, recipe.n_validation)
        wanted = math.ceil(recipe.n_validation * n_safety / settings.n_general)
        rows, validation_rows = n, recipe.n_validation + min(held_out, wanted)
    return {"n_safety": n_safety, "seed": seed, "rows": rows, "validation_rows": validation_rows}


def _pool(kind: str, source: str, reading: Reading) -> list[data.Example] | None:
    """The rows of a source, or ``None`` where they would have to be downloaded."""
    if source in _PAPER_SOURCES:
        if not data.is_at_hand("safety-instructions" if kind == "safety" else _PAPER_SOURCES[source]):
            return None
    elif (
        source != "embedded"
        and re.fullmatch(r"[\w.-]+/[\w.-]+(:[\w.-]+)?", source)
        and not Path(source).exists()
        and not Path(source).suffix
    ):
        return None  # a data set of the Hub
    read = data.general_examples if kind == "general" else data.safety_examples
    return read(source, reading=reading)


def count_prompts(settings: Settings, prompt_sets: Sequence[str] | None = None) -> PromptCounts:
    """Prompts of a study by set, and their tokens, counted where the texts can be read without a download.

    Args:
        settings: of the study.
        prompt_sets: names of :data:`safetune_utils.data.PROMPT_SETS`; by default all that the data source
            has.

    Raises:
        SafetuneError: the source has no such set.
    """
    asked, sizes = read_asked(settings, prompt_sets)
    found = _tokenizer(settings.base_model) if asked else None
    encoded = (
        [_prompt_ids(prompt, settings, found[0]) for prompts in asked.values() for prompt in prompts]
        if found
        else []
    )
    _, of_controls = read_asked(
        settings, [name for name in CONTROL_SETS if name in data.prompt_sets_of(settings)]
    )
    return {
        "sets": sizes,
        "counted": list(asked) if found else [],
        "controls": len(FORMS) * sum(of_controls.values()),
        **_prompt_tokens(encoded),
    }


def read_asked(
    settings: Settings, prompt_sets: Sequence[str] | None = None
) -> tuple[dict[str, list[data.Prompt]], dict[str, int]]:
    """The prompts of each set of a study that can be read without a download, and how many of every set are
    answered.

    The arguments and the errors are those of :func:`count_prompts`.
    """
    source, own = settings.data, settings.own_prompt_sets
    there = data.prompt_sets_of(settings)
    if not there and not Path(source).expanduser().is_dir():
        raise SafetuneError(
            f"data is {source!r}, which has no prompts: choose embedded, paper, paper-sample, or a folder "
            "that exists"
        )
    sizes: dict[str, int] = {}
    asked: dict[str, list[data.Prompt]] = {}
    for name in there if prompt_sets is None else prompt_sets:
        if name not in there:
            raise SafetuneError(f"data '{source}' has no prompt set '{name}': choose from {', '.join(there)}")
        registered = None if name in own else data.n_registered(source, name)
        if registered and not data.is_at_hand(registered[0]):
            size = registered[1]
        else:
            asked[name] = data.prompts_of(settings, name)
            size = len(asked[name])
        sizes[name] = min(size, settings.max_prompts or size)
    return asked, sizes


def _prompt_ids(prompt: data.Prompt, settings: Settings, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    text = prompt_text(
        tokenizer,
        instruction=prompt.text,
        input=prompt.input,
        guard=settings.decoding.guard,
        template=settings.template,
    )
    return encode_prompt(tokenizer, text, template=settings.template)


def _prompt_tokens(encoded: list[list[int]]) -> PromptTokens:
    if not encoded:
        return GUESSED_PROMPT
    from safetune_utils.models.shared_prefix import n_shared

    lengths = [len(ids) for ids in encoded]
    return {"tokens": sum(lengths) / len(lengths), "longest": max(lengths), "shared": n_shared(encoded)}


def _tokenizer(base_model: str) -> tuple[PreTrainedTokenizerBase, str] | None:
    """A tokenizer that is on this machine, and what it is, in words.

    It is the base model's where that is a folder, else the embedded model's where that was converted already.
    """
    folder = Path(base_model).expanduser()
    if folder.is_dir():
        from safetune_utils.models.tokenizer import load_tokenizer

        return load_tokenizer(base_model), "its own tokenizer"
    record = next(places.cache_folder().glob("models/smollm2-135m-bf16-*/record.json"), None)
    if record is None:
        return None
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(record.parent), "the embedded model's tokenizer"
