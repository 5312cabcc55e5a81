"""A mix: general examples plus n safety examples in a format, with a validation part held out.

For one seed, amounts are nested (the first 100 safety rows are among the 500). The validation part is either held
*apart*, so that a row that validates for one amount is trained on for none, or taken *from the mix* itself, as the
paper did.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace

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
    validation: str = "apart",
) -> Mix:
    """Draw a mix.

    Args:
        general, safety: the pools to draw from.
        n_general, n_safety: rows of each in the mix.
        safety_format: ``instruction``, ``question``, or ``mixed`` (every other safety row is a question).
        n_validation: rows held out. Held apart, they are general rows; of the safety pool, ``n_validation`` rows or a
            tenth of the pool, whichever is less, are held out too, and the validation part has them in the mix's own
            proportion.
        seed: decides the order of both pools, and so everything that is drawn.
        validation: ``apart``, or ``from_mix``: ``n_validation`` rows at random out of the ``n_general + n_safety``.

    Raises:
        SafetuneError: a pool is too small, or has no questions where the format asks for them.
    """
    if validation == "from_mix":
        return _held_out_of_the_mix(general, safety, n_general, n_safety, safety_format, n_validation, seed)
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


def _held_out_of_the_mix(general: list[Example], safety: list[Example], n_general: int, n_safety: int, safety_format: str, n_validation: int, seed: int) -> Mix:
    _, general_pool = _split(general, 0, seed=seed, name="general")
    _, safety_pool = _split(safety, 0, seed=seed, name="safety")
    for name, wanted, pool in (("n_general", n_general, general_pool), ("a safety amount", n_safety, safety_pool)):
        if wanted > len(pool):
            raise SafetuneError(f"{name} is {wanted}, but this data has {len(pool)} such rows: choose at most that many")
    if n_validation >= n_general + n_safety:
        raise SafetuneError(f"n_validation is {n_validation}, but the mix has {n_general + n_safety} rows: choose fewer")
    rows = general_pool[:n_general] + _formatted(safety_pool[:n_safety], safety_format)
    random.Random(seed).shuffle(rows)
    return Mix(train=rows[n_validation:], validation=rows[:n_validation])


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
