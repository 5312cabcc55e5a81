"""The mix of each adapter: which safety rows come first, and the losses that decide which are hardest."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from made_stages import made_base_losses
from tiny_models import tiny_llama

from safetune_utils import data, store
from safetune_utils.data.mix import Mix, ids_of
from safetune_utils.errors import SafetuneError
from safetune_utils.models import base_model
from safetune_utils.scoring import refusal_rules
from safetune_utils.study import mixes
from safetune_utils.study.design import state
from safetune_utils.study.study import Run, Study

# As if the base model found every row harder than the one before.
LOSSES = {row.id: float(number) for number, row in enumerate(data.safety_examples("embedded"))}


@pytest.fixture
def losses(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """The base model's losses on the embedded rows, as if they had been worked out; called with some ids, it
    takes these out.
    """

    def put(*unknown: str) -> None:
        lines = [{"id": row_id, "loss": loss} for row_id, loss in LOSSES.items() if row_id not in unknown]
        folder = made_base_losses(lines)
        monkeypatch.setattr(mixes, "base_losses_folder", lambda study, *, make=True: folder)

    put()
    return put


def drawn(n_safety: int, choice: str = "random") -> Mix:
    study = state(prompt_sets=[], safety_amounts=[n_safety], mixing={"choice": choice, "n_candidates": None})
    return mixes.mix_of(study, Run(n_safety, 0))


def safety_ids(drawn: Mix) -> set[str]:
    return {row.id for row in drawn.train if row.id.startswith("safety")}


@pytest.mark.usefixtures("losses")
@pytest.mark.parametrize("choice", ["refusals", "topics", "hardest"])
def test_a_choice_keeps_the_general_and_the_validation_rows_and_amounts_nested(choice: str) -> None:
    plain, small, large = drawn(50), drawn(50, choice), drawn(200, choice)
    assert len(safety_ids(small)) == 50
    assert safety_ids(small) != safety_ids(plain)
    assert safety_ids(small) < safety_ids(large)
    assert set(ids_of(small)["train"]) - safety_ids(small) == set(ids_of(plain)["train"]) - safety_ids(plain)
    assert ids_of(small)["validation"] == ids_of(plain)["validation"]


def test_refusals_come_before_all_others() -> None:
    def refuse(n: int) -> int:
        outputs = [row.output for row in drawn(n, "refusals").train if row.id.startswith("safety")]
        return sum(score.label == "full_refusal" for score in refusal_rules.score([""] * n, outputs))

    n_there = refuse(249)
    assert 150 < n_there < 249
    assert [refuse(n) for n in (50, n_there, n_there + 10)] == [50, n_there, n_there]


def test_the_hardest_are_those_with_the_highest_loss_and_rows_without_one_come_last(
    losses: Callable[..., None],
) -> None:
    everything = safety_ids(drawn(249))
    taken = safety_ids(drawn(50, "hardest"))
    assert min(LOSSES[row] for row in taken) > max(LOSSES[row] for row in everything - taken)
    unknown = set(list(LOSSES)[-20:])
    losses(*unknown)
    assert not unknown & safety_ids(drawn(len(everything - unknown), "hardest"))


def rows_of_unlike_length(folder: Path) -> str:
    rows = [
        {"instruction": f"Request {number}.", "output": "No, " * (1 + number % 7) + "never."}
        for number in range(60)
    ]
    store.write_lines(folder / "safety.jsonl", rows)
    return str(folder / "safety.jsonl")


def hardest(safety_data: str, *, amounts: list[int], n_candidates: int, **given: Any) -> Study:
    return state(
        prompt_sets=[],
        preset="smoke",
        safety_data=safety_data,
        safety_amounts=amounts,
        mixing={"choice": "hardest", "n_candidates": n_candidates},
        **given,
    )


def losses_of(study: Study) -> dict[str, float]:
    rows = store.read_lines(mixes.base_losses_folder(study) / "losses.jsonl")
    return {row["id"]: row["loss"] for row in rows}


def test_the_losses_are_worked_out_when_a_mix_is_first_drawn_and_only_once(
    tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = []

    def load(*given: object, **more: object) -> tuple[Any, Any]:
        loaded.append(given)
        return tiny_llama(), tokenizer

    monkeypatch.setattr(base_model, "load_base", load)
    own = rows_of_unlike_length(tmp_path)
    first, second = (hardest(own, amounts=[0, 8], n_candidates=60) for _ in range(2))
    assert loaded == []
    assert not mixes.is_known(first)
    taken = {row.id for row in mixes.safety_rows(first, first.runs[1])}
    assert len(loaded) == 1
    assert mixes.is_known(second)
    assert mixes.mix_of(second, second.runs[1]) == mixes.mix_of(first, first.runs[1])
    losses = losses_of(first)
    assert len(loaded) == 1
    assert len(losses) == 60
    assert all(math.isfinite(loss) for loss in losses.values())
    pool = set(losses) - {row.id for row in mixes.mix_of(first, first.runs[1]).validation}
    assert len(taken) == 8
    assert taken <= set(sorted(pool, key=losses.__getitem__)[-8:])


def test_the_hardest_are_looked_for_among_the_candidates_which_are_enough(
    tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base_model, "load_base", lambda *_, **__: (tiny_llama(), tokenizer))
    own = rows_of_unlike_length(tmp_path)
    few, more = (hardest(own, amounts=[n], n_candidates=12, seeds=[0, 1]) for n in (4, 8))
    # One measurement for every amount and seed.
    assert mixes.base_losses_folder(few) == mixes.base_losses_folder(more)
    losses = losses_of(few)
    assert len(losses) == 12
    for run in few.runs:
        pool = set(losses) - {row.id for row in mixes.mix_of(few, run).validation}
        taken = {row.id for row in mixes.safety_rows(few, run)}
        assert taken <= set(losses)
        assert min(losses[row] for row in taken) >= sorted(losses[row] for row in pool)[-4]
    with pytest.raises(
        SafetuneError,
        match=r"mixing\.n_candidates is 12, but 13 safety rows are asked for: choose at least as many, or",
    ):
        hardest(own, amounts=[13], n_candidates=12)


@pytest.mark.usefixtures("mirror")
def test_forms_can_be_compared_on_the_same_rows_where_some_rows_have_no_question() -> None:
    def rows(form: str, **mixing: bool) -> set[str]:
        study = state(
            prompt_sets=[], data="paper-sample", safety_amounts=[50], safety_format=form, mixing=mixing
        )
        return {row.id for row in mixes.safety_rows(study, study.runs[0])}

    asked = [rows(form, with_questions=True) for form in ("instruction", "question", "mixed")]
    assert asked[0] == asked[1] == asked[2]
    assert rows("instruction") != rows("question")  # else there would be nothing to mend


def test_a_source_is_named_by_its_last_part_and_a_name_by_itself() -> None:
    named = [mixes.source_name(one) for one in ("embedded", "/home/me/my rows.jsonl", "some/where/rows")]
    assert named == ["embedded", "my rows.jsonl", "rows"]


def test_a_study_s_mix_holds_the_contrast_rows_that_it_asks_for() -> None:
    study = state(prompt_sets=[], preset="smoke", mixing={"n_contrast": 3})
    contrast = {row.id for row in study.contrast}
    for run in study.runs:
        assert sum(row.id in contrast for row in mixes.mix_of(study, run).train) == 3


@pytest.mark.usefixtures("small_paper")
def test_our_mix_of_the_paper_s_size_has_the_rows_of_the_ready_made_one() -> None:
    recipe = {"n_validation": 6, "validation": "from_mix"}
    study = state(
        prompt_sets=[],
        data="paper",
        n_general=40,
        safety_amounts=[100],
        recipe=recipe,
        instruments=["refusal-rules"],
    )
    drawn = mixes.mix_of(study, Run(100, 3))
    ours = sorted((row.instruction, row.output) for row in [*drawn.train, *drawn.validation])
    theirs = sorted(
        (row["instruction"], row["output"]) for row in data.read_table(data.fetch("mix-100")).rows
    )
    assert ours == theirs
    assert (len(drawn.train), len(drawn.validation)) == (134, 6)


@pytest.mark.usefixtures("mirror")
def test_a_study_names_the_prompts_that_it_trains_on() -> None:
    study = state(
        prompt_sets=["malicious", "ordinary"], data="paper-sample", safety_amounts=[0, 20], n_general=1900
    )
    assert mixes.leaks(study) == {"ordinary": ["I-Alpaca-0018", "I-Alpaca-0040"]}
    assert mixes.leaks(state(prompt_sets=["malicious", "ordinary"])) == {}
