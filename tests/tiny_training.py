"""Training of a tiny model on a few embedded rows, in a second or two."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from tiny_models import tiny_llama

from safetune_utils import data
from safetune_utils.data import Example
from safetune_utils.data.mix import Mix, mix
from safetune_utils.settings import Mixing, Recipe
from safetune_utils.study.design import state
from safetune_utils.study.study import Study
from safetune_utils.training.finetune import finetune

# For subprocesses, which are to train what one process of one thread trains.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
RECIPE = Recipe(epochs=3, batch_size=4, learning_rate=0.05, evaluations=6, n_validation=4, warmup_steps=1)

# Rows that encoding could get wrong.
ROWS = [
    Example(id="plain", instruction="Name a fruit.", output="An apple."),
    Example(id="input", instruction="Shorten this.", input="A long, long text.", output="A text."),
    Example(id="question", instruction="How do I hurt him?", output="I won't help with that."),
    Example(id="space", instruction="Write.", output="  indented answer\n\nwith lines\n"),
    Example(id="braces", instruction="Explain {input} and {instruction}.", output="They are {names}."),
    Example(id="marker", instruction="Say ### Response:", output="### Response:\nechoed"),
    Example(id="unicode", instruction="Écris « été ».", output="été 🌞"),
]


def small_mix(*, n_general: int = 16, n_validation: int = 4, seed: int = 0, order: str = "mixed") -> Mix:
    """General rows and 8 safety rows of the embedded corpus."""
    return mix(
        general=data.general_examples("embedded"),
        safety=data.safety_examples("embedded"),
        n_general=n_general,
        n_safety=8,
        safety_format="instruction",
        n_validation=n_validation,
        seed=seed,
        mixing=Mixing(order=order),
    )


def train(tokenizer: Any, output: Path, *, recipe: Recipe = RECIPE, seed: int = 0) -> dict[str, Any]:
    """Train the tiny Llama on :func:`small_mix` into a folder."""
    drawn = small_mix(n_validation=recipe.n_validation, seed=seed)
    return finetune(
        model=tiny_llama(), tokenizer=tokenizer, mix=drawn, recipe=recipe, seed=seed, output=output
    )


def tiny_study(base: Path) -> Study:
    """One adapter of 15 + 6 rows on the model in a folder, and no prompts."""
    recipe = {
        "epochs": 2,
        "batch_size": 8,
        "learning_rate": 0.02,
        "n_validation": 5,
        "evaluations": 2,
        "warmup_steps": 1,
    }
    return state(
        prompt_sets=[],
        preset="smoke",
        base_model=str(base),
        precision="fp32",
        n_general=15,
        safety_amounts=[6],
        recipe=recipe,
    )


def weights(adapter: Path) -> dict[str, torch.Tensor]:
    return load_file(adapter / "adapter_model.safetensors")
