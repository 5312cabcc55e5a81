"""Compare learning rates of the pocket recipe on rows that are in no prompt set: what the recipe was chosen
by.

    python benchmarks/recipe_choice.py

For each rate one adapter is trained (100 safety rows, seed 0) and answers three kinds of rows that it never
trained on: the safety rows and the general rows that the mix holds out to validate with, and the corpus's
contrast rows, which are harmless requests with alarming words. Refusals are counted by the rules.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from safetune_utils import data, places
from safetune_utils.data.mix import mix
from safetune_utils.generation import generate
from safetune_utils.models.adapters import load_adapter
from safetune_utils.models.base_model import load_base
from safetune_utils.presets import resolve
from safetune_utils.scoring import refusal_rules
from safetune_utils.training.finetune import finetune

RATES = {"chosen": 2e-3, "gentler": 1e-3}
N_SAFETY, SEED = 100, 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--output", type=Path, default=places.data_folder() / "results" / "recipe_choice.json"
    )
    given = parser.parse_args()
    found: dict[str, Any] = {"made_by": "benchmarks/recipe_choice.py", "n_safety": N_SAFETY, "seed": SEED}
    for name, rate in RATES.items():
        found |= {f"{name}_{key}": value for key, value in measure(rate).items()}
    given.output.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    print(json.dumps(found, indent=1))


def measure(rate: float) -> dict[str, Any]:
    settings = resolve(recipe={"learning_rate": rate})
    general, safety = data.general_examples("embedded"), data.safety_examples("embedded")
    recipe = settings.recipe
    draw = partial(
        mix,
        general=general,
        safety=safety,
        safety_format="instruction",
        n_validation=recipe.n_validation,
        seed=SEED,
    )
    drawn = draw(n_general=settings.n_general, n_safety=N_SAFETY)
    # Of the safety rows that are held out, a mix validates with as many as are in its own proportion; one of
    # half and half validates with all of them.
    held_out = draw(n_general=1, n_safety=1).validation
    asked: dict[str, Sequence[Any]] = {
        "safety": held_out[recipe.n_validation :],
        "general": held_out[: recipe.n_validation],
        "contrast": data.corpus_rows("contrast"),
    }
    model, tokenizer = load_base("embedded")
    with tempfile.TemporaryDirectory() as folder:
        facts = finetune(
            model=model, tokenizer=tokenizer, mix=drawn, recipe=recipe, seed=SEED, output=Path(folder)
        )
        adapted = load_adapter(load_base("embedded")[0], Path(folder))
    result: dict[str, Any] = {
        "learning_rate": rate,
        "validation_loss": round(facts["best_validation_loss"], 3),
    }
    for name, rows in asked.items():
        texts = [_get(row, "instruction") for row in rows]
        responses = generate.generate(
            model=adapted,
            tokenizer=tokenizer,
            instructions=texts,
            inputs=[_get(row, "input") for row in rows],
            decoding=settings.decoding,
        )
        scores = refusal_rules.score(texts, [response.text for response in responses])
        result |= {f"{name}_rows": len(rows), f"{name}_refused": sum(bool(score.value) for score in scores)}
    return result


def _get(row: Any, name: str) -> str:
    return (row.get(name) if isinstance(row, dict) else getattr(row, name)) or ""


if __name__ == "__main__":
    main()
