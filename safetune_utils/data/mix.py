"""A mix: general examples plus n safety examples in a format, with a validation part held out.

For one seed, amounts are nested (the first 100 safety rows are among the 500). The validation part is either
held *apart*, so that a row that validates for one amount is trained on for no amount, or taken *from the mix*
itself, as the paper did. :class:`safetune_utils.settings.Mixing` says which safety rows come first, which are
left out, and whether harmless rows with alarming words are added.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from safetune_utils.data.rows import Example
from safetune_utils.errors import SafetuneError
from safetune_utils.settings import Mixing

_PLAIN = Mixing()


@dataclass(frozen=True, kw_only=True)
class Mix:
    """Examples to train on and to validate with; their ``instruction`` already has the safety format.

    Attributes:
        train, validation: the rows of each part; ``train`` is in the order of the mix.
        n_later: how many rows, the last of ``train``, are trained on after all the others.
    """

    train: list[Example]
    validation: list[Example]
    n_later: int = 0


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
    mixing: Mixing = _PLAIN,
    contrast: Sequence[Example] = (),
    places: Callable[[list[Example]], list[float]] | None = None,
) -> Mix:
    """Draw a mix.

    Args:
        general, safety, contrast: the pools to draw from.
        n_general, n_safety: rows of each in the mix.
        safety_format: ``instruction``, ``question``, or ``mixed`` (every other safety row is a question).
        n_validation: rows held out. Held apart, they are general rows; of the safety pool, ``n_validation``
            rows or a tenth of the pool, whichever is less, are held out too, and the validation part has them
            in the mix's own proportion.
        seed: decides the order of the pools, and so everything that is drawn.
        validation: ``apart``, or ``from_mix``: ``n_validation`` random rows of the whole mix.
        mixing: which safety rows come first and which are left out, how many contrast rows are added, and
            when both are trained on. A choice orders what is left after the validation rows are held out, and
            these are the same for every choice. Contrast rows validate only with ``from_mix``.
        places: gives each row of the safety pool a place; the lowest come first, and rows with the same place
            stay in random order. ``None`` leaves the random order. :mod:`safetune_utils.study.mixes` says
            which places a choice of :class:`safetune_utils.settings.Mixing` means.

    Raises:
        SafetuneError: a pool is too small, or lacks the questions or topics that are asked for.
    """
    left_out = _known_topics(safety, mixing.topics_left_out)
    apart = validation == "apart"
    n_kept = sum(row.topic not in left_out for row in safety)
    n_general_out, n_safety_out = (n_validation, held_out_safety(n_kept, n_validation)) if apart else (0, 0)
    general_validation, general_pool = _split(general, n_general_out, seed=seed, name="general")
    safety_validation, safety_pool = _split(safety, n_safety_out, seed=seed, name="safety", left_out=left_out)
    _, contrast_pool = _split(contrast, 0, seed=seed, name="contrast")
    _check_size("n_general", n_general, general_pool, kind="general", held_out=general_validation)
    _check_size("a safety amount", n_safety, safety_pool, kind="safety", held_out=safety_validation)
    _check_size("mixing.n_contrast", mixing.n_contrast, contrast_pool, kind="contrast")
    added = [
        *_formatted(_ordered(safety_pool, places)[:n_safety], safety_format),
        *contrast_pool[: mixing.n_contrast],
    ]
    # Each row has a mark, whether it was added; the mark decides only the order of training.
    rows = [(False, row) for row in general_pool[:n_general]] + [(True, row) for row in added]
    random.Random(seed).shuffle(rows)
    held_out = [
        *general_validation,
        *_formatted(safety_validation[: math.ceil(n_validation * n_safety / n_general)], safety_format),
    ]
    if not apart:
        if n_validation >= len(rows):
            raise SafetuneError(
                f"n_validation is {n_validation}, but the mix has {len(rows)} rows: choose fewer"
            )
        held_out, rows = [row for _, row in rows[:n_validation]], rows[n_validation:]
    if mixing.order == "after":
        rows.sort(key=lambda marked: marked[0])
    n_later = sum(is_added for is_added, _ in rows) if mixing.order == "after" else 0
    return Mix(train=[row for _, row in rows], validation=held_out, n_later=n_later)


def held_out_safety(n_safety_rows: int, n_validation: int) -> int:
    """How many rows of a safety pool are held out to validate: at most a tenth of the pool."""
    return min(n_validation, n_safety_rows // 10)


def ids_of(drawn: Mix) -> dict[str, list[str]]:
    """The ids of a mix's rows by part, ``train`` and ``validation``, for the record."""
    return {"train": [row.id for row in drawn.train], "validation": [row.id for row in drawn.validation]}


def _check_size(
    name: str, wanted: int, pool: Sequence[Example], *, kind: str, held_out: Sequence[Example] = ()
) -> None:
    if wanted > len(pool):
        use = f" to train on (and {len(held_out)} to validate)" if held_out else ""
        mend = "choose at most that many" if pool else f"give data that has {kind} rows"
        raise SafetuneError(f"{name} is {wanted}, but this data has {len(pool)} {kind} rows{use}: {mend}")


def _known_topics(safety: list[Example], left_out: Sequence[str]) -> set[str]:
    topics = sorted({row.topic for row in safety if row.topic})
    unknown = [topic for topic in left_out if topic not in topics]
    if unknown and not topics:
        raise SafetuneError(
            f"topics_left_out names {', '.join(unknown)}, but this data's safety rows have no topics: leave "
            "it empty"
        )
    if unknown:
        raise SafetuneError(
            f"topics_left_out names {', '.join(unknown)}, which no safety row of this data is about: choose "
            f"from {', '.join(topics)}"
        )
    return set(left_out)


def _split(
    rows: Sequence[Example], n_held_out: int, *, seed: int, name: str, left_out: Collection[str] = ()
) -> tuple[list[Example], list[Example]]:
    # Each pool has its own random state, so the general rows do not depend on the safety pool. Topics are
    # left out after the shuffle, so that mixes with and without them have most rows in common.
    order = list(rows)
    random.Random(f"{name}-{seed}").shuffle(order)
    order = [row for row in order if row.topic not in left_out]
    return order[:n_held_out], order[n_held_out:]


def topics_in_turn(pool: list[Example]) -> list[float]:
    """Places for :func:`mix` that take one row of each topic in turn.

    Returns:
        For each row of the pool, how many rows of its topic come before it, from 0.

    Raises:
        SafetuneError: no row has a topic.
    """
    if pool and not any(row.topic for row in pool):
        raise SafetuneError(
            "mixing.choice is 'topics', but this data's safety rows have no topics: choose random, refusals "
            "or hardest"
        )
    seen: Counter[str] = Counter()
    places: list[float] = []
    for row in pool:
        places.append(seen[row.topic])
        seen[row.topic] += 1
    return places


def _ordered(pool: list[Example], places: Callable[[list[Example]], list[float]] | None) -> list[Example]:
    if places is None:
        return pool
    return [row for _, row in sorted(zip(places(pool), pool, strict=True), key=lambda placed: placed[0])]


def _formatted(rows: list[Example], safety_format: str) -> list[Example]:
    if safety_format == "instruction":
        return rows
    missing = next((row.id for row in rows if not row.question), None)
    if missing:
        raise SafetuneError(
            f"safety_format is '{safety_format}', but the safety row {missing} has no question form: use "
            "'instruction', or give every safety row a 'question'"
        )
    return [
        replace(row, instruction=row.question) if safety_format == "question" or number % 2 else row
        for number, row in enumerate(rows)
    ]
