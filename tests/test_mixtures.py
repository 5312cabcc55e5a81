"""Mixes: nested amounts, a validation part that stays apart, formats, seeds."""

from __future__ import annotations

import pytest

from safetune_utils.data import Example, general_examples, safety_examples
from safetune_utils.errors import SafetuneError
from safetune_utils.mixtures import Mix, ids_of, mix


def drawn(n_safety: int, *, safety_format: str = "instruction", seed: int = 0, n_general: int = 320, validation: str = "apart") -> Mix:
    return mix(
        general=general_examples("embedded"), safety=safety_examples("embedded"), n_general=n_general, n_safety=n_safety,
        safety_format=safety_format, n_validation=40, seed=seed, validation=validation,
    )  # fmt: skip


def safety_ids(rows: list[Example]) -> set[str]:
    return {row.id for row in rows if row.id.startswith("safety")}


def test_amounts_are_nested_and_the_general_rows_stay_the_same() -> None:
    small, large = drawn(50), drawn(200)
    assert len(safety_ids(small.train)) == 50
    assert safety_ids(small.train) < safety_ids(large.train)
    assert {row.id for row in small.train} - safety_ids(small.train) == {row.id for row in large.train} - safety_ids(large.train)


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
    plain = [Example(id=f"s{i}", instruction=f"i{i}", output="o") for i in range(20)]
    with pytest.raises(SafetuneError, match="has no question form"):
        mix(general=general_examples("embedded"), safety=plain, n_general=10, n_safety=5, safety_format="mixed", n_validation=4, seed=0)


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
