"""Negative controls: the untuned model and gibberish in the run store, beside what was there before."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from tiny_models import tiny_llama

from safetune_utils import places, store
from safetune_utils.models.tokenizer import load_tokenizer
from safetune_utils.scoring import instruments
from safetune_utils.scoring.controls import GIBBERISH, rows
from safetune_utils.study import controls, stages
from safetune_utils.study.controls import CONTROL_SETS, Answered, measured, untuned, untuned_folder
from safetune_utils.study.design import state, vary
from safetune_utils.study.plan import plan
from safetune_utils.study.run import run, run_together
from safetune_utils.study.study import Study


def tiny(base: Path, **given: Any) -> Study:
    """Two adapters of a tiny random model, asked four look-alikes; its controls are not among its sets."""
    fixed = {
        "prompt_sets": ["lookalikes_safe"],
        "controls": CONTROL_SETS,
        "preset": "smoke",
        "base_model": str(base),
        "precision": "fp32",
        "instruments": ["refusal-rules"],
    }
    return state(**fixed | given)


def stages_made() -> set[Path]:
    return {path.parent for path in places.store_folder().glob("*/*/record.json")}


def test_the_pool_makes_all_controls_and_a_second_run_nothing(base: Path) -> None:
    study = tiny(base)
    assert run(study)["prompt_set"].unique().tolist() == ["lookalikes_safe"]  # controls are no part of it
    made = stages_made()
    names = {one.name.rsplit("-", 1)[0] for one in made if one.parent.name == "untuned"}
    assert names == {f"{form}-{name}" for form in ("alpaca", "chat") for name in CONTROL_SETS}
    found = measured(study)
    assert [(one.control, one.found.n) for one in found] == [
        ("untuned model, malicious requests", 4),
        ("untuned model, ordinary instructions", 4),
        ("untuned model in the form chat, malicious requests", 4),
        ("untuned model in the form chat, ordinary instructions", 4),
        ("random words", 4),
        ("random letters", 4),
        ("0 safety examples, ordinary instructions", 4),
        ("3 safety examples, ordinary instructions", 4),
        ("0 safety examples, safe look-alikes", 4),
        ("3 safety examples, safe look-alikes", 4),
    ]
    assert [row["control"] for row in rows(found)] == [
        "untuned model, ordinary instructions",
        "untuned model in the form chat, ordinary instructions",
        *GIBBERISH,
    ]
    assert stages_made() == made  # reading them made nothing that the pool had left
    run_together([study, vary(study, safety_amounts=[3], controls=CONTROL_SETS)])
    assert stages_made() == made  # shared by another study


def test_no_stage_that_was_there_has_another_name_for_the_controls(base: Path) -> None:
    plain, controlled = tiny(base, controls=()), tiny(base)
    for one in plain.runs:
        for made in (plain, controlled):
            stages.mix_folder(made, one)
        assert stages.responses_folder(plain, one, "ordinary") == stages.responses_folder(
            controlled, one, "ordinary"
        )
    run(plain)
    assert not list(places.store_folder().glob("untuned/*"))
    before = stages_made()
    run(controlled)
    assert before < stages_made()  # what was there stands, and is used


def test_the_untuned_stage_has_the_name_that_it_had() -> None:
    study = state(prompt_sets=[], controls=CONTROL_SETS, preset="smoke", device="cpu", precision="bf16")
    assert [untuned_folder(study, one).name for one in untuned(study)] == [
        "alpaca-malicious-0ad3c9976df2",
        "alpaca-ordinary-bd870bd560a0",
        "chat-malicious-21850d036d16",
        "chat-ordinary-193099cc7c96",
    ]


def test_the_untuned_model_answers_with_no_adapter_in_the_form_that_is_named(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from peft import PeftModel

    from safetune_utils.generation import generate

    # Of few words, a tiny model says the same whatever the form.
    tiny_llama().save_pretrained(base)
    load_tokenizer("embedded").save_pretrained(base)
    study, asked, answer = tiny(base), [], generate.generate

    def noted(**given: Any) -> Any:
        asked.append((given["template"], isinstance(given["model"], PeftModel)))
        return answer(**given)

    monkeypatch.setattr(generate, "generate", noted)
    controls.make_controls([study])
    assert asked == [("alpaca", False)] * 2 + [("chat", False)] * 2
    rows_of = {
        form: store.rows_of(untuned_folder(study, Answered("ordinary", form)) / "responses.jsonl")
        for form in ("alpaca", "chat")
    }
    assert [row["id"] for row in rows_of["alpaca"]] == [prompt.id for prompt in study.prompts("ordinary")]
    assert rows_of["alpaca"] != rows_of["chat"]


def test_a_model_with_no_form_of_a_chat_has_the_other_controls(base: Path) -> None:
    (base / "chat_template.jinja").unlink()
    study = tiny(base)
    controls.make_controls([study])
    told = [one.control for one in measured(study, tuned=False)]
    assert told == ["untuned model, malicious requests", "untuned model, ordinary instructions", *GIBBERISH]


def test_controls_are_scored_whatever_their_language() -> None:
    german = "Das ist nicht der Weg und ich kann dir das auch nicht sagen, aber es sind die anderen."
    for any_language, scored in ((False, False), (True, True)):
        (score,) = instruments.score("refusal-rules", ["Why?"], [german], any_language=any_language)
        assert (score.value is not None) == scored


def test_the_plan_counts_the_untuned_model_and_the_answers_to_harmless_requests(base: Path) -> None:
    table = plan(tiny(base))
    assert list(table["n_safety"]) == [0, 3, "untuned"]
    assert list(table["responses_left"]) == [8, 8, 16]  # 4 ordinary more; 2 sets in 2 forms
    assert list(table["scores_left"]) == [8, 8, 24]  # the untuned model's, and gibberish of 2 kinds
    assert table["minutes_left"].iloc[2] == pytest.approx(16 / 15 / 60)
    controls.make_controls([tiny(base)])
    assert list(plan(tiny(base))["responses_there"]) == [0, 0, 16]
    assert list(plan(tiny(base))["scores_left"]) == [8, 8, 0]


def test_data_without_such_prompts_has_the_controls_that_it_can_have(base: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    for name in ("general", "safety"):
        rows_ = [{"instruction": f"Do {name} {n}", "output": "So it is."} for n in range(40)]
        store.write_lines(own / f"{name}.jsonl", rows_)
    store.write_lines(own / "malicious.jsonl", [{"instruction": f"Do harm {n}"} for n in range(4)])
    study = tiny(base, data=str(own), prompt_sets=["malicious"])
    assert study.controls == ("malicious",)
    run(study)
    assert {one.control.split(", ")[0] for one in measured(study)} >= {"untuned model", *GIBBERISH}
    shutil.rmtree(own)


@pytest.mark.slow
def test_the_real_model_answers_untuned_and_every_instrument_scores_it() -> None:
    study = state(
        prompt_sets=[],
        controls=CONTROL_SETS,
        preset="smoke",
        instruments=["refusal-rules", "refusal", "harmfulness", "coherence"],
        decoding={"max_new_tokens": 24},
        max_prompts=3,
    )
    controls.make_controls([study])
    found = measured(study, tuned=False)
    assert {one.instrument for one in found} == set(study.settings.instruments)
    assert all(one.found.n == 3 for one in found)
    chat, alpaca = (
        store.rows_of(untuned_folder(study, Answered("ordinary", form)) / "responses.jsonl")
        for form in ("chat", "alpaca")
    )
    assert all(len(row["response"].split()) > 3 for row in (*chat, *alpaca))
    harm = {one.control: one.limited for one in found if one.instrument == "harmfulness"}
    assert harm["untuned model, ordinary instructions"]
    assert not harm["untuned model, malicious requests"]
