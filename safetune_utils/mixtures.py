"""A mix: general examples plus n safety examples in a format, with a validation part held out.

For one seed, amounts are nested (the first 100 safety rows are among the 500) and the validation part never changes
hands: a row that validates for one amount is trained on for none.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace
from typing import Any

from safetune_utils.data import Example
from safetune_utils.errors import SafetuneError


@dataclass(frozen=True, kw_only=True)
class Mix:
    """Examples to train on and to validate with; ``question`` is folded into ``instruction`` by the format."""

    train: list[Example]
    validation: list[Example]


def mix(
    *,
    general: list[Example],
    safety: list[Example],
    n_general: int,
    n_safety: int,
    safety_format: str,
    n_validation: int,
    seed: int,
) -> Mix:
    """Draw a mix.

    Args:
        general, safety: the pools to draw from.
        n_general, n_safety: rows of each to train on.
        safety_format: ``instruction``, ``question``, or ``mixed`` (every other safety row is a question).
        n_validation: general rows held out. Of the safety pool, ``n_validation`` rows or a tenth of the pool,
            whichever is less, are held out too; the validation part has them in the mix's own proportion.
        seed: decides the order of both pools, and so everything that is drawn.

    Raises:
        SafetuneError: a pool is too small, or has no questions where the format asks for them.
    """
    general_validation, general_pool = _split(general, n_validation, seed=seed, name="general")
    safety_validation, safety_pool = _split(safety, held_out_safety(len(safety), n_validation), seed=seed, name="safety")
    if n_general > len(general_pool):
        raise SafetuneError(
            f"n_general is {n_general}, but this data has {len(general_pool)} general rows to train on (and {n_validation} to validate): choose at most that many"
        )
    if n_safety > len(safety_pool):
        raise SafetuneError(
            f"a safety amount is {n_safety}, but this data has {len(safety_pool)} safety rows to train on (and {len(safety_validation)} to validate): choose at most that many"
        )
    n_safety_validation = min(len(safety_validation), math.ceil(n_validation * n_safety / n_general))
    train = general_pool[:n_general] + _formatted(safety_pool[:n_safety], safety_format)
    random.Random(seed).shuffle(train)
    return Mix(
        train=train,
        validation=general_validation + _formatted(safety_validation[:n_safety_validation], safety_format),
    )


def held_out_safety(n_safety_rows: int, n_validation: int) -> int:
    """How many rows of a safety pool validate: at most a tenth of it."""
    return min(n_validation, n_safety_rows // 10)


def ids_of(drawn: Mix) -> dict[str, list[str]]:
    """The mix by its ids, for the record."""
    return {"train": [row.id for row in drawn.train], "validation": [row.id for row in drawn.validation]}


def overlap(drawn: Mix, prompts: list[Any]) -> list[str]:
    """Ids of test prompts whose text, white space and case aside, is also an instruction of the mix."""
    seen = {_plain(row.instruction) for row in (*drawn.train, *drawn.validation)}
    return [prompt.id for prompt in prompts if _plain(prompt.text) in seen]


def _split(rows: list[Example], n_held_out: int, *, seed: int, name: str) -> tuple[list[Example], list[Example]]:
    # Each pool has an order of its own, so that the general rows stay the same whatever the safety pool.
    order = list(rows)
    random.Random(f"{name}-{seed}").shuffle(order)
    return order[:n_held_out], order[n_held_out:]


def _formatted(rows: list[Example], safety_format: str) -> list[Example]:
    if safety_format == "instruction":
        return rows
    missing = next((row.id for row in rows if not row.question), None)
    if missing:
        raise SafetuneError(
            f"safety_format is '{safety_format}', but the safety row {missing} has no question form: use 'instruction', or give every safety row a 'question'"
        )
    return [replace(row, instruction=row.question) if safety_format == "question" or number % 2 else row for number, row in enumerate(rows)]


def _plain(text: str) -> str:
    return " ".join(text.lower().split())
