"""Mixes: nested amounts, a validation part that stays apart, formats, seeds, and which rows come first, never
or later.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from conftest import tiny_llama

from safetune_utils import store
from safetune_utils.data import Example, contrast_examples, general_examples, mix, safety_examples
from safetune_utils.data.mix import Mix, ids_of
from safetune_utils.errors import SafetuneError
from safetune_utils.scoring import refusal_rules
from safetune_utils.settings import Mixing
from safetune_utils.study import mixes, stages
from safetune_utils.study.design import state
from safetune_utils.study.study import Study

# As if the base model found every row harder than the one before.
LOSSES = {row.id: float(number) for number, row in enumerate(safety_examples("embedded"))}


def drawn(
    n_safety: int,
    *,
    safety_format: str = "instruction",
    seed: int = 0,
    n_general: int = 320,
    validation: str = "apart",
    **mixing: Any,
) -> Mix:
    return mix(
        general=general_examples("embedded"), safety=safety_examples("embedded"), n_general=n_general, n_safety=n_safety,
        safety_format=safety_format, n_validation=40, seed=seed, validation=validation,
        mixing=Mixing(**mixing), contrast=contrast_examples(), losses=LOSSES,
    )  # fmt: skip


def safety_ids(rows: list[Example]) -> set[str]:
    return {row.id for row in rows if row.id.startswith("safety")}


def test_amounts_are_nested_and_the_general_rows_stay_the_same() -> None:
    small, large = drawn(50), drawn(200)
    assert len(safety_ids(small.train)) == 50
    assert safety_ids(small.train) < safety_ids(large.train)
    assert {row.id for row in small.train} - safety_ids(small.train) == {
        row.id for row in large.train
    } - safety_ids(large.train)


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
        mix(
            general=general_examples("embedded"),
            safety=plain,
            n_general=10,
            n_safety=5,
            safety_format="mixed",
            n_validation=4,
            seed=0,
        )


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


# ------------------------------------------------------------------------------------- which rows come first,
# never, later


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


@pytest.mark.parametrize("choice", ["refusals", "topics", "hardest"])
def test_a_choice_keeps_the_general_and_the_validation_rows_and_amounts_nested(choice: str) -> None:
    plain, small, large = drawn(50), drawn(50, choice=choice), drawn(200, choice=choice)
    assert len(safety_ids(small.train)) == 50
    assert safety_ids(small.train) != safety_ids(plain.train)
    assert safety_ids(small.train) < safety_ids(large.train)
    assert {row.id for row in small.train} - safety_ids(small.train) == {
        row.id for row in plain.train
    } - safety_ids(plain.train)
    assert ids_of(small)["validation"] == ids_of(plain)["validation"]
    assert not {row.id for row in large.train} & {row.id for row in large.validation}
    assert (
        ids_of(drawn(249, choice=choice))["train"] != ids_of(drawn(249))["train"]
    )  # another order, though the same rows
    assert safety_ids(drawn(249, choice=choice).train) == safety_ids(drawn(249).train)


def test_refusals_come_before_all_others() -> None:
    def refuse(n: int) -> int:
        outputs = [row.output for row in drawn(n, choice="refusals").train if row.id.startswith("safety")]
        return sum(score.label == "full_refusal" for score in refusal_rules.score([""] * n, outputs))

    n_there = refuse(249)
    assert 150 < n_there < 249
    assert [refuse(n) for n in (50, n_there, n_there + 10)] == [50, n_there, n_there]


def test_topics_take_turns() -> None:
    for n in (7, 50, 120):
        counts = Counter(row.topic for row in drawn(n, choice="topics").train if row.id.startswith("safety"))
        assert len(counts) == min(n, 12)
        assert max(counts.values()) - min(counts.values()) <= 1
    plain = [Example(id=f"s{i}", instruction=f"i{i}", output="o") for i in range(20)]
    with pytest.raises(SafetuneError, match="have no topics: choose random, refusals or hardest"):
        mix(general=general_examples("embedded"), safety=plain, n_general=10, n_safety=5, safety_format="instruction", n_validation=4, seed=0,
            mixing=Mixing(choice="topics"))  # fmt: skip


def test_the_hardest_are_those_with_the_highest_loss_and_rows_without_one_come_last() -> None:
    taken = safety_ids(drawn(50, choice="hardest").train)
    left = safety_ids(drawn(249).train) - taken
    assert min(LOSSES[row] for row in taken) > max(LOSSES[row] for row in left)
    safety = safety_examples("embedded")
    unknown = {row.id for row in safety[:20]}
    given: Any = {
        "general": general_examples("embedded"),
        "safety": safety,
        "n_general": 10,
        "safety_format": "instruction",
        "n_validation": 40,
        "seed": 0,
    }
    known = {row_id: loss for row_id, loss in LOSSES.items() if row_id not in unknown}
    n_known = len(safety_ids(drawn(249).train) - unknown)
    assert not unknown & safety_ids(
        mix(**given, n_safety=n_known, mixing=Mixing(choice="hardest"), losses=known).train
    )
    with pytest.raises(ValueError, match="needs losses"):
        mix(**given, n_safety=5, mixing=Mixing(choice="hardest"))


def test_topics_that_are_left_out_are_nowhere_and_the_other_rows_keep_their_order() -> None:
    out = {"drugs", "privacy"}
    found = drawn(200, topics_left_out=sorted(out))
    assert not out & {row.topic for row in [*found.train, *found.validation] if row.id.startswith("safety")}
    assert len(safety_ids(found.train)) == 200
    # As many rows as there are in both are the same: only those left out are replaced.
    kept = {row.id for row in drawn(100).train if row.id.startswith("safety") and row.topic not in out}
    assert (
        len(kept - safety_ids(drawn(100, topics_left_out=sorted(out)).train)) <= 10
    )  # those that validate now
    with pytest.raises(
        SafetuneError,
        match=r"topics_left_out names drugz, .* choose from bullying, computer_misuse, drugs, .*weapons$",
    ):
        drawn(50, topics_left_out=["drugz"])
    plain = [Example(id=f"s{i}", instruction=f"i{i}", output="o") for i in range(20)]
    with pytest.raises(SafetuneError, match="this data's safety rows have no topics: leave it empty"):
        mix(general=general_examples("embedded"), safety=plain, n_general=10, n_safety=5, safety_format="instruction", n_validation=4, seed=0,
            mixing=Mixing(topics_left_out=["drugs"]))  # fmt: skip


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


# -------------------------------------------------------------------------------------------------------- in
# a study


def smoke(**given: Any) -> Study:
    return state(prompt_sets=["malicious"], preset="smoke", **given)


def test_the_order_makes_another_adapter_and_a_guard_other_answers_only() -> None:
    plain, after, guarded = smoke(), smoke(mixing={"order": "after"}), smoke(decoding={"guard": "Be kind."})
    without, run = plain.runs
    assert plain.adapter_folder(run, make=False) != after.adapter_folder(run, make=False)
    # Where nothing comes after, it is the same adapter and is made once.
    assert plain.adapter_folder(without, make=False) == after.adapter_folder(without, make=False)
    assert plain.adapter_folder(run, make=False) == guarded.adapter_folder(run, make=False)
    assert plain.responses_folder(run, "malicious") != guarded.responses_folder(run, "malicious")


def test_the_record_of_a_mix_says_how_its_rows_were_chosen() -> None:
    study = smoke(mixing={"choice": "topics", "topics_left_out": ["drugs"], "n_contrast": 5})
    facts = store.read_record(stages.mix_folder(study, study.runs[1]))["facts"]
    assert facts["mixing"] == {
        "choice": "topics",
        "n_candidates": 8,
        "topics_left_out": ["drugs"],
        "with_questions": False,
        "n_contrast": 5,
        "order": "mixed",
    }
    assert len(facts["contrast_ids"]) == 5
    assert set(facts["contrast_ids"]) <= {row.id for row in mixes.mix_of(study, study.runs[1]).train}
    assert facts["rows"] == {"train": 12, "validation": 2}
    assert study.n_rows(study.runs[1]) == 12


def test_data_without_contrast_rows_is_told_in_one_line(tmp_path: Path) -> None:
    for name in ("general", "safety"):
        rows = [{"instruction": f"{name} {number}", "output": "An answer."} for number in range(60)]
        store.write_lines(tmp_path / f"{name}.jsonl", rows)
    with pytest.raises(SafetuneError, match=r"mixing\.n_contrast is 5, but this data has 0 contrast rows"):
        state(prompt_sets=[], preset="smoke", data=str(tmp_path), mixing={"n_contrast": 5})


def test_the_base_model_s_losses_are_worked_out_once_and_the_hardest_rows_drawn(
    tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [
        {"instruction": f"Request {number}.", "output": "No, " * (1 + number % 7) + "never."}
        for number in range(60)
    ]
    store.write_lines(tmp_path / "safety.jsonl", rows)
    loaded = []

    def load(*given: object, **more: object) -> tuple[Any, Any]:
        loaded.append(given)
        return tiny_llama(), tokenizer

    monkeypatch.setattr(studies.models, "load_base", load)
    made = [
        smoke(
            safety_data=str(tmp_path / "safety.jsonl"),
            safety_amounts=[0, 8],
            mixing={"choice": "hardest", "n_candidates": 60},
        )
        for _ in range(2)
    ]
    assert len(loaded) == 1
    losses = {
        row["id"]: row["loss"] for row in store.read_lines(mixes.base_losses_folder(made[0]) / "losses.jsonl")
    }
    assert len(losses) == 60
    assert all(math.isfinite(loss) for loss in losses.values())
    taken = {row.id for row in mixes.safety_rows(made[1], made[1].runs[1])}
    pool = set(losses) - {row.id for row in mixes.mix_of(made[0], made[0].runs[1]).validation}
    assert len(taken) == 8
    assert taken <= set(sorted(pool, key=losses.__getitem__)[-8:])


def test_the_hardest_are_looked_for_among_the_candidates_which_are_enough(
    tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [
        {"instruction": f"Request {number}.", "output": "No, " * (1 + number % 7) + "never."}
        for number in range(60)
    ]
    store.write_lines(tmp_path / "safety.jsonl", rows)
    monkeypatch.setattr(studies.models, "load_base", lambda *_, **__: (tiny_llama(), tokenizer))

    def hardest(n: int) -> Study:
        return smoke(
            safety_data=str(tmp_path / "safety.jsonl"),
            safety_amounts=[n],
            seeds=[0, 1],
            mixing={"choice": "hardest", "n_candidates": 12},
        )

    few, more = hardest(4), hardest(8)
    assert mixes.base_losses_folder(few) == mixes.base_losses_folder(
        more
    )  # one measurement for every amount and seed
    losses = {
        row["id"]: row["loss"] for row in store.read_lines(mixes.base_losses_folder(few) / "losses.jsonl")
    }
    assert len(losses) == 12
    for run in few.runs:
        pool = set(losses) - {row.id for row in mixes.mix_of(few, run).validation}
        taken = {row.id for row in mixes.safety_rows(few, run)}
        assert taken <= set(losses)
        assert min(losses[row] for row in taken) >= sorted(losses[row] for row in pool)[-4]
    with pytest.raises(
        SafetuneError,
        match=r"mixing\.n_candidates is 12, but 13 safety rows are asked for: choose at least as many, or None for all",
    ):
        hardest(13)
