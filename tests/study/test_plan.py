"""The plan: what is there, what is left, and how long the rest takes by what was measured here."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from made_stages import made
from tiny_training import tiny_study

from safetune_utils import store
from safetune_utils.machine.files import sealed, write_json
from safetune_utils.models import base_model
from safetune_utils.settings import off_default
from safetune_utils.study import stages
from safetune_utils.study.design import state, vary
from safetune_utils.study.plan import plan
from safetune_utils.study.study import Study


def smoke(*, prompt_sets: tuple[str, ...] = ("malicious", "ordinary"), **given: Any) -> Study:
    return state(prompt_sets=prompt_sets, preset="smoke", **given)


def put(
    make: Callable[[], Path], *, facts: dict[str, Any], seconds: float = 1.0, threads: int | None = None
) -> None:
    """As if this machine had made a stage, with so many threads, else with all: its record alone."""
    path = made(make, lambda folder: facts) / "record.json"
    record = json.loads(path.read_text("utf-8"))
    record["machine"]["threads"] = threads or torch.get_num_threads()
    write_json(path, sealed(record | {"seconds": seconds}))


def put_adapter(study: Study, place: int, *, tokens_per_second: float, threads: int | None = None) -> None:
    put(
        lambda: stages.adapter_folder(study, study.runs[place]),
        facts={"tokens_per_second": tokens_per_second},
        threads=threads,
    )


def put_responses(study: Study, *, seconds: float, threads: int | None = None) -> None:
    """Sixty responses of the study's first adapter to some other prompts."""
    adapter = store.key_in(stages.adapter_folder(study, study.runs[0], make=False))
    inputs = {"adapter": adapter, "decoding": off_default(study.settings.decoding)}
    put(
        lambda: store.produce(stage="responses", label="others", inputs=inputs, make=dict),
        facts={"responses": 60},
        seconds=seconds,
        threads=threads,
    )


def test_before_anything_is_made_all_is_left_and_the_time_is_guessed_from_rows_and_prompts() -> None:
    table = plan(smoke(recipe={"epochs": 3}))
    assert list(table["n_safety"]) == [0, 3]
    assert list(table["rows"]) == [4, 7]
    assert list(table["adapter"]) == ["to train"] * 2
    assert list(table["responses_there"]) == [0, 0]
    assert list(table["responses_left"]) == [8, 8]
    assert list(table["scores_left"]) == [16, 16]  # by two instruments
    # 95 tokens a row, three times over, at 900 tokens a second, and 15 responses a second.
    seconds = [rows * 3 * 95 / 900 + 8 / 15 for rows in (4, 7)]
    assert list(table["minutes_left"]) == pytest.approx([s / 60 for s in seconds])


def test_a_machine_that_multiplies_slower_is_guessed_to_take_longer_and_a_faster_one_no_less(
    multiplying: Callable[[float], None],
) -> None:
    minutes = (4 * 95 / 900 + 8 / 15) / 60
    for tflops, times in ((0.155, 4), (6.2, 1)):
        multiplying(tflops)
        assert plan(smoke())["minutes_left"][0] == pytest.approx(times * minutes)


def test_what_a_model_reads_counts_as_an_answer_and_what_rules_or_a_server_read_takes_no_time() -> None:
    study = smoke(
        prompt_sets=("opinions", "controversial"),
        instruments=["refusal-rules", "harmfulness", "judge-harm"],
        read_as={"opinions": "controversial"},
        side_effects=["reference-losses"],
    )
    table = plan(study)
    # Two sets of four by three instruments, one of them once more, and four reference answers.
    assert list(table["scores_left"]) == [24 + 4 + 4] * 2
    assert table["minutes_left"][0] == pytest.approx((4 * 95 / 900 + (8 + 8 + 4 + 4) / 15) / 60)


def test_what_is_there_is_not_left() -> None:
    study = smoke()
    put_adapter(study, 1, tokens_per_second=1e9)
    put(
        lambda: stages.responses_folder(study, study.runs[1], "ordinary", model="none"),
        facts={"responses": 4},
        seconds=4 / 15,
    )
    table = plan(study)
    assert list(table["adapter"]) == ["to train", "there"]
    assert list(table["responses_there"]) == [0, 4]
    assert list(table["responses_left"]) == [8, 4]
    assert table["minutes_left"][1] == pytest.approx(4 / 15 / 60)  # four responses and no training


def test_speeds_that_were_measured_on_this_model_device_and_decoding_go_before_the_guess() -> None:
    study = smoke()
    elsewhere = smoke(device="cuda", precision="fp16")
    put_adapter(elsewhere, 0, tokens_per_second=1.0)
    put_responses(elsewhere, seconds=1e6)
    assert plan(study)["minutes_left"][1] == pytest.approx((7 * 95 / 900 + 8 / 15) / 60)
    put_adapter(study, 0, tokens_per_second=9000.0)
    assert plan(study)["minutes_left"][1] == pytest.approx((7 * 95 / 9000 + 8 / 15) / 60)
    put_responses(study, seconds=2.0)
    put_responses(smoke(decoding={"max_new_tokens": 5}), seconds=1e6)
    assert plan(study)["minutes_left"][1] == pytest.approx((7 * 95 / 9000 + 8 / 30) / 60)


def test_what_was_made_on_some_of_the_threads_counts_for_as_many_processes_as_there_is_room_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    study = smoke()
    put_adapter(study, 0, tokens_per_second=3000.0, threads=4)
    put_responses(study, seconds=4.0, threads=2)
    assert plan(study)["minutes_left"][1] == pytest.approx((7 * 95 / 6000 + 8 / 60) / 60)
    # Several are averaged.
    put_adapter(study, 1, tokens_per_second=1000.0)
    assert plan(study)["minutes_left"][1] == pytest.approx(8 / 60 / 60)
    (rest,) = plan(vary(study, safety_amounts=[2]))["minutes_left"]
    assert rest == pytest.approx((6 * 95 / 3500 + 8 / 60) / 60)


def test_another_model_s_speed_says_nothing(base: Path) -> None:
    study = tiny_study(base)
    guessed = plan(study)["minutes_left"][0]
    put_adapter(smoke(), 0, tokens_per_second=9000.0)
    assert plan(study)["minutes_left"][0] == pytest.approx(guessed)


def test_a_plan_loads_no_model_where_it_is_not_known_yet_which_rows_are_hardest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def loaded(*_: object, **__: object) -> None:
        raise AssertionError("a model was loaded")

    monkeypatch.setattr(base_model, "load_base", loaded)
    table = plan(smoke(mixing={"choice": "hardest"}))
    assert list(table["adapter"]) == ["to train"] * 2
    assert list(table["responses_left"]) == [8, 8]
