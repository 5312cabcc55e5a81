"""Mixes: nested amounts, a validation part that stays apart, formats, seeds, and which rows come first,
never or later.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from safetune_utils.data import Example, contrast_examples, general_examples, safety_examples
from safetune_utils.data.mix import Mix, ids_of, mix, topics_in_turn
from safetune_utils.errors import SafetuneError
from safetune_utils.settings import Mixing

PLAIN = [Example(id=f"s{i}", instruction=f"i{i}", output="o") for i in range(20)]


def drawn(
    n_safety: int,
    *,
    safety_format: str = "instruction",
    seed: int = 0,
    n_general: int = 320,
    validation: str = "apart",
    places: Callable[[list[Example]], list[float]] | None = None,
    **mixing: Any,
) -> Mix:
    return mix(
        general=general_examples("embedded"),
        safety=safety_examples("embedded"),
        n_general=n_general,
        n_safety=n_safety,
        safety_format=safety_format,
        n_validation=40,
        seed=seed,
        validation=validation,
        mixing=Mixing(**mixing),
        contrast=contrast_examples(),
        places=places,
    )


def drawn_from_plain(**given: Any) -> Mix:
    """A small mix with safety rows that have neither topic nor question."""
    usual: dict[str, Any] = {"n_general": 10, "n_safety": 5, "safety_format": "instruction"}
    return mix(general=general_examples("embedded"), safety=PLAIN, n_validation=4, seed=0, **(usual | given))


def safety_ids(rows: list[Example]) -> set[str]:
    return {row.id for row in rows if row.id.startswith("safety")}


def general_ids(rows: list[Example]) -> set[str]:
    return {row.id for row in rows} - safety_ids(rows)


def later_ids_first(pool: list[Example]) -> list[float]:
    """Places by which the rows with the highest numbers come first."""
    return [-float(row.id.rsplit("-", 1)[1]) for row in pool]


def test_amounts_are_nested_and_the_general_rows_stay_the_same() -> None:
    small, large = drawn(50), drawn(200)
    assert len(safety_ids(small.train)) == 50
    assert safety_ids(small.train) < safety_ids(large.train)
    assert general_ids(small.train) == general_ids(large.train)


def test_no_validation_row_is_trained_on_at_any_amount() -> None:
    held = {row.id for n in (0, 50, 200, 249) for row in drawn(n).validation}
    trained = {row.id for n in (0, 50, 200, 249) for row in drawn(n, n_general=510).train}
    assert not held & trained


def test_the_validation_part_has_safety_rows_in_the_mix_s_proportion() -> None:
    assert len(safety_ids(drawn(0).validation)) == 0
    assert len(safety_ids(drawn(100).validation)) == 13  # 40 x 100 / 320, rounded up


def test_a_seed_gives_the_same_mix_and_another_seed_another() -> None:
    assert ids_of(drawn(100)) == ids_of(drawn(100))
    assert ids_of(drawn(100)) != ids_of(drawn(100, seed=1))


def test_formats() -> None:
    for name, questions in (("instruction", 0), ("question", 100), ("mixed", 50)):
        rows = [row for row in drawn(100, safety_format=name).train if row.id.startswith("safety")]
        assert sum(row.instruction.endswith("?") for row in rows) == questions


def test_a_pool_that_is_too_small_or_has_no_questions_is_told_in_one_line() -> None:
    with pytest.raises(SafetuneError, match="249 safety rows to train on"):
        drawn(400)
    with pytest.raises(SafetuneError, match="510 general rows"):
        drawn(0, n_general=600)
    with pytest.raises(SafetuneError, match="has no question form"):
        drawn_from_plain(safety_format="mixed")


def test_held_out_of_the_mix_every_row_is_in_one_part_and_amounts_stay_nested() -> None:
    # The paper's way: the whole general pool is in the mix, and the validation part comes out of it.
    small, large = (drawn(n, n_general=550, validation="from_mix") for n in (50, 276))
    for found, n in ((small, 600), (large, 826)):
        ids = [row.id for row in [*found.train, *found.validation]]
        assert len(ids) == len(set(ids)) == n
        assert len(found.validation) == 40
    assert safety_ids([*small.train, *small.validation]) < safety_ids([*large.train, *large.validation])
    assert safety_ids(large.validation)
    with pytest.raises(SafetuneError, match="a safety amount is 277, but this data has 276 safety rows"):
        drawn(277, validation="from_mix")
    with pytest.raises(SafetuneError, match="n_validation is 40, but the mix has 20 rows"):
        drawn(0, n_general=20, validation="from_mix")


def test_by_default_a_mix_is_the_shuffled_heads_of_two_shuffled_pools() -> None:
    # Written out once more: adapters are known by the content of their mix, so it must never change.
    for seed in (0, 3):
        pools = {"general": general_examples("embedded"), "safety": safety_examples("embedded")}
        for name, pool in pools.items():
            random.Random(f"{name}-{seed}").shuffle(pool)
        rows = pools["general"][40:360] + pools["safety"][27:77]
        random.Random(seed).shuffle(rows)
        found = drawn(50, seed=seed)
        assert found.train == rows
        assert found.validation == pools["general"][:40] + pools["safety"][:7]
        assert found.n_later == 0


@pytest.mark.parametrize("places", [topics_in_turn, later_ids_first])
def test_places_keep_the_general_and_the_validation_rows_and_amounts_nested(
    places: Callable[[list[Example]], list[float]],
) -> None:
    plain, small, large = drawn(50), drawn(50, places=places), drawn(200, places=places)
    assert len(safety_ids(small.train)) == 50
    assert safety_ids(small.train) != safety_ids(plain.train)
    assert safety_ids(small.train) < safety_ids(large.train)
    assert general_ids(small.train) == general_ids(plain.train)
    assert ids_of(small)["validation"] == ids_of(plain)["validation"]
    assert not {row.id for row in large.train} & {row.id for row in large.validation}
    # Another order, though the same rows.
    assert ids_of(drawn(249, places=places))["train"] != ids_of(drawn(249))["train"]
    assert safety_ids(drawn(249, places=places).train) == safety_ids(drawn(249).train)


def test_the_lowest_places_come_first_and_equal_ones_keep_the_random_order() -> None:
    taken = safety_ids(drawn(50, places=later_ids_first).train)
    left = safety_ids(drawn(249).train) - taken
    assert min(taken) > max(left)
    assert ids_of(drawn(50, places=lambda pool: [1.0] * len(pool))) == ids_of(drawn(50))


def test_topics_take_turns() -> None:
    for n in (7, 50, 120):
        rows = [row for row in drawn(n, places=topics_in_turn).train if row.id.startswith("safety")]
        counts = Counter(row.topic for row in rows)
        assert len(counts) == min(n, 12)
        assert max(counts.values()) - min(counts.values()) <= 1
    with pytest.raises(SafetuneError, match="have no topics: choose random, refusals or hardest"):
        drawn_from_plain(places=topics_in_turn)


def test_topics_that_are_left_out_are_nowhere_and_the_other_rows_keep_their_order() -> None:
    out = {"drugs", "privacy"}
    found = drawn(200, topics_left_out=sorted(out))
    assert not out & {row.topic for row in [*found.train, *found.validation] if row.id.startswith("safety")}
    assert len(safety_ids(found.train)) == 200
    # As many rows as there are in both are the same: only those left out are replaced, and those that
    # validate now.
    kept = {row.id for row in drawn(100).train if row.id.startswith("safety") and row.topic not in out}
    assert len(kept - safety_ids(drawn(100, topics_left_out=sorted(out)).train)) <= 10
    with pytest.raises(
        SafetuneError,
        match=r"topics_left_out names drugz, .* choose from bullying, computer_misuse, drugs, .*weapons$",
    ):
        drawn(50, topics_left_out=["drugz"])
    with pytest.raises(SafetuneError, match="this data's safety rows have no topics: leave it empty"):
        drawn_from_plain(mixing=Mixing(topics_left_out=["drugs"]))


def test_contrast_rows_are_added_nested_and_take_no_other_row_s_place() -> None:
    def contrast(found: Mix) -> set[str]:
        return {row.id for row in found.train if row.id.startswith("contrast")}

    plain, some, more = drawn(50), drawn(50, n_contrast=20), drawn(50, n_contrast=60)
    assert (len(contrast(plain)), len(contrast(some)), len(contrast(more))) == (0, 20, 60)
    assert contrast(some) < contrast(more)
    assert {row.id for row in some.train} - contrast(some) == {row.id for row in plain.train}
    assert ids_of(some)["validation"] == ids_of(plain)["validation"]
    with pytest.raises(
        SafetuneError,
        match=r"mixing.n_contrast is 111, but this data has 110 contrast rows: choose at most that many",
    ):
        drawn(50, n_contrast=111)


@pytest.mark.parametrize("validation", ["apart", "from_mix"])
def test_what_is_added_comes_after_the_general_rows_if_asked(validation: str) -> None:
    mixed, after = (
        drawn(50, n_contrast=20, validation=validation, order=order) for order in ("mixed", "after")
    )
    kinds = [row.id.split("-")[0] for row in after.train]
    border = len(kinds) - after.n_later
    assert set(kinds[:border]) == {"general"}
    assert set(kinds[border:]) == {"safety", "contrast"}
    assert sorted(ids_of(mixed)["train"]) == sorted(ids_of(after)["train"])
    assert ids_of(mixed)["validation"] == ids_of(after)["validation"]
    assert mixed.n_later == drawn(0, order="after").n_later == 0
