"""Measure how the book's speed grows: training over rows at once, their length and their number; answering
over prompts at once and new tokens.

    python benchmarks/growth_speed.py

All points of a curve are measured in turn in one process, in several rounds; the median of a point is kept.
Training is a step of the book's loop on real rows of the embedded corpus, or on rows cut or joined to a
length; tokens are real ones.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from finetune_speed import RECIPE, mixture
from peft import PeftModel
from taking_turns import machine, matmul_gflops, quiet, versions

from safetune_utils import data, places
from safetune_utils.data.mix import Mix
from safetune_utils.generation import generate
from safetune_utils.models.base_model import load_base
from safetune_utils.settings import Decoding
from safetune_utils.training.finetune import finetune, with_adapter
from safetune_utils.training.loss import accumulate_gradient, proven_way
from safetune_utils.training.rows import Row, encode

BATCHES, LENGTHS, ROWS = (1, 2, 4, 8, 16, 32), (32, 64, 128, 256, 512), (16, 48, 96, 192)
PROMPTS, NEW_TOKENS = (1, 4, 16, 48, 96, 192), (16, 64, 128)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--output", type=Path, default=places.data_folder() / "results" / "growth_speed.json")
    given = parser.parse_args()
    quiet()
    before = matmul_gflops()
    points = [*over_batches_and_lengths(given.rounds), *over_rows(), *over_responses(given.rounds)]
    after = matmul_gflops()
    rates = {name: round((before[name] + after[name]) / 2, 1) for name in before}
    result = {"made_by": "benchmarks/growth_speed.py", "points": points, "matmul_gflops": rates}
    result |= {"machine": machine([]), "versions": versions(("torch", "transformers", "peft"))}
    given.output.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    print(json.dumps(points, indent=1))


def over_batches_and_lengths(rounds: int) -> list[dict[str, Any]]:
    model, tokenizer = load_base("embedded")
    rows, _ = encode(tokenizer, mixture().train, RECIPE)
    ordered = sorted(rows, key=lambda row: len(row.ids))
    middle = ordered[len(ordered) // 2 - 16 :][:32]  # of about one length, so that only the number changes
    adapted = with_adapter(model, RECIPE)
    way = proven_way(adapted)
    adapted.train()
    work = {("rows at once", n): middle[:n] for n in BATCHES} | {
        ("tokens of a row", n): [of_length(row, n, rows) for row in middle[:8]] for n in LENGTHS
    }
    speeds = in_turn({key: partial(step, adapted, part, way) for key, part in work.items()}, rounds)
    return [
        {"what": "training", "over": over, "at": at, "tokens_per_second": speed}
        for (over, at), speed in speeds.items()
    ]


def step(adapted: PeftModel, rows: list[Row], way: str) -> int:
    accumulate_gradient(adapted, rows, RECIPE.micro_batch_tokens, way=way)
    return sum(len(row.ids) for row in rows)


def of_length(row: Row, length: int, others: list[Row]) -> Row:
    """A row cut to a length, or filled up with the answers of others."""
    ids, labels = list(row.ids), list(row.labels)
    for other in others:
        if len(ids) >= length:
            break
        ids, labels = ids + other.ids, labels + other.labels
    return Row(ids[:length], [*labels[: length - 1], ids[length - 1]], truncated=True)


def over_rows() -> list[dict[str, Any]]:
    """Whole trainings, with loading's warm-up, one after another."""
    points = []
    for n in ROWS:
        model, tokenizer = load_base("embedded")
        drawn = mixture()
        small = Mix(train=drawn.train[:n], validation=drawn.validation[:1])
        with tempfile.TemporaryDirectory() as folder:
            facts = finetune(
                model=model, tokenizer=tokenizer, mix=small, recipe=RECIPE, seed=0, output=Path(folder)
            )
        points.append(
            {
                "what": "training",
                "over": "rows in the mix",
                "at": n,
                "tokens_per_second": facts["tokens_per_second"],
            }
        )
    return points


def over_responses(rounds: int) -> list[dict[str, Any]]:
    model, tokenizer = load_base("embedded")
    texts = [
        prompt.text
        for name in ("malicious", "malicious_questions")
        for prompt in data.prompts("embedded", name)
    ]

    def answer(n: int, new_tokens: int) -> int:
        how = Decoding(batch_size=n, max_new_tokens=new_tokens)
        said = generate.generate(
            model=model, tokenizer=tokenizer, instructions=texts[: min(n, len(texts))], decoding=how
        )
        return sum(one.n_tokens for one in said)

    work = {("prompts at once", n): (n, 64) for n in PROMPTS} | {
        ("new tokens", n): (48, n) for n in NEW_TOKENS
    }
    speeds = in_turn({key: partial(answer, *sizes) for key, sizes in work.items()}, rounds)
    return [
        {"what": "answering", "over": over, "at": at, "tokens_per_second": speed}
        for (over, at), speed in speeds.items()
    ]


def in_turn(work: dict[Any, Callable[[], int]], rounds: int) -> dict[Any, float]:
    """Tokens a second of several pieces of work, each once a round after one round that is not counted."""
    speeds: dict[Any, list[float]] = {key: [] for key in work}
    for number in range(rounds + 1):
        for key, task in work.items():
            clock = time.perf_counter()
            tokens = task()
            if number:
                speeds[key].append(tokens / (time.perf_counter() - clock))
    return {key: round(statistics.median(values), 1) for key, values in speeds.items()}


if __name__ == "__main__":
    main()
