"""A study is stated: checked before anything is trained, and no model is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from safetune_utils import store
from safetune_utils.data.mix import Mix
from safetune_utils.errors import SafetuneError
from safetune_utils.study import design, mixes, stages
from safetune_utils.study.design import state
from safetune_utils.study.study import Study


def pocket(**given: Any) -> Study:
    return state(prompt_sets=["malicious"], **given)


@pytest.mark.parametrize("choice", ["random", "refusals", "topics", "hardest"])
def test_stating_a_study_loads_no_model(choice: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def loaded(*_: object, **__: object) -> None:
        raise AssertionError("a model was loaded")

    # The last function that every way to a model goes through, whoever calls it.
    monkeypatch.setattr("transformers.AutoModelForCausalLM.from_pretrained", loaded)
    study = pocket(mixing={"choice": choice})
    assert design.vary(study, seeds=[1]).settings.mixing.choice == choice
    if choice == "hardest":
        with pytest.raises(SafetuneError, match="a model was loaded"):
            mixes.mix_of(study, study.runs[1])


def test_a_notebook_s_names_are_parameters_and_what_is_given_by_name_goes_before_them() -> None:
    names = {"preset": "smoke", "seeds": [4], "safety_amounts": None, "something_else": 1}
    settings = state(names, prompt_sets=[], seeds=[5]).settings
    assert (settings.preset, settings.seeds, settings.safety_amounts) == ("smoke", [5], [0, 3])
    assert state(names, prompt_sets=[]).settings.seeds == [4]


def test_a_study_is_varied_in_the_settings_that_are_named_alone() -> None:
    study = pocket(mixing={"n_contrast": 7}, recipe={"epochs": 2})
    varied = design.vary(study, safety_amounts=[100], mixing={"choice": "topics"})
    assert varied.prompt_sets == study.prompt_sets
    assert varied.settings.safety_amounts == [100]
    assert (varied.settings.mixing.choice, varied.settings.mixing.n_contrast) == ("topics", 7)
    assert varied.settings.recipe == study.settings.recipe
    with pytest.raises(SafetuneError, match="249 safety rows"):
        design.vary(study, safety_amounts=[9000])


def test_what_is_wanted_besides_stays_with_a_varied_study_and_its_prompt_sets_can_be_others() -> None:
    besides = {"read_as": {"opinions": "controversial"}, "side_effects": ["reference-losses"]}
    study = state(prompt_sets=["opinions", "ordinary"], preset="smoke", **besides)
    varied = design.vary(study, prompt_sets=["opinions"], seeds=[1])
    assert varied.prompt_sets == ("opinions",)
    assert (varied.read_as, varied.side_effects) == (study.read_as, study.side_effects)
    with pytest.raises(SafetuneError, match="read_as reads responses to 'opinions', which is not asked"):
        design.vary(study, prompt_sets=["ordinary"])
    with pytest.raises(SafetuneError, match="unknown side effect 'boolqq': choose from reference-losses, fo"):
        state(prompt_sets=[], preset="smoke", side_effects=["boolqq"])


def test_a_varied_study_shares_the_adapters_that_are_the_same() -> None:
    study = pocket()
    varied = design.vary(study, safety_amounts=[200], decoding={"guard": "Be kind."})
    (run,) = varied.runs
    assert stages.adapter_folder(varied, run, make=False) == stages.adapter_folder(study, run, make=False)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["refusals"], "unknown instrument 'refusals'"),
        (["harmfulness"], "put one of refusal"),
        (["refusal", "refusal"], "only once"),
    ],
)
def test_a_study_asks_for_instruments_that_there_are(names: list[str], message: str) -> None:
    with pytest.raises(SafetuneError, match=message):
        state(prompt_sets=["ordinary"], preset="smoke", instruments=names)


def test_a_prompt_set_that_the_data_lacks_is_told_when_the_study_is_stated() -> None:
    with pytest.raises(SafetuneError, match="has no prompt set 'hateful'"):
        state(prompt_sets=["hateful"], preset="smoke")


def test_data_without_contrast_rows_is_told_in_one_line(tmp_path: Path) -> None:
    for name in ("general", "safety"):
        rows = [{"instruction": f"{name} {number}", "output": "An answer."} for number in range(60)]
        store.write_lines(tmp_path / f"{name}.jsonl", rows)
    with pytest.raises(SafetuneError, match=r"mixing\.n_contrast is 5, but this data has 0 contrast rows"):
        state(prompt_sets=[], preset="smoke", data=str(tmp_path), mixing={"n_contrast": 5})


def test_a_study_without_topics_is_the_same_but_for_them_at_the_largest_amount_that_can_be_filled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    study = pocket(mixing={"topics_left_out": ["drugs"]}, seeds=[3])
    draw = mixes.mix

    def small_pool(**given: Any) -> Mix:
        if given["n_safety"] > 60:
            raise SafetuneError("too few rows")
        return draw(**given)

    monkeypatch.setattr(mixes, "mix", small_pool)
    without = design.without_topics(study, ["violence"])
    assert without is not None
    assert without.prompt_sets == study.prompt_sets
    before, after = study.settings.model_dump(), without.settings.model_dump()
    assert {name for name in before if before[name] != after[name]} == {"safety_amounts", "mixing"}
    assert without.settings.safety_amounts == [50]
    assert without.settings.mixing.topics_left_out == ["drugs", "violence"]
    trained = [row.topic for row in mixes.safety_rows(without, without.runs[0])]
    assert len(trained) == 50
    assert not {"drugs", "violence"} & set(trained)
    assert design.without_topics(study, ["a topic that no row has"]) is None
    assert design.without_topics(pocket(safety_amounts=[0]), ["violence"]) is None


# What looks odd and is taken, each with a reason why a careful person would take it.
TAKEN: list[tuple[str, object, str]] = [
    ("n_general", 1, "one general row is a mix, and a tiny one trains in a moment"),
    ("safety_amounts", [0], "one amount: a level without a curve"),
    ("safety_amounts", [3], "an adapter alone; what compares with none says that it cannot"),
    ("safety_amounts", [5, 3, 0], "amounts are put in order, as every table and curve has them"),
    ("seeds", [2**31 - 1], "the largest that every library takes"),
    ("seeds", [7, 3], "seeds are put in order too"),
    ("max_prompts", 1, "one prompt: the interval then says how little that is"),
    ("max_prompts", 10**6, "more than there are: all of them"),
    ("recipe", {}, "nothing is changed"),
    ("recipe", {"lora_rank": 256}, "the largest: as in studies of full rank"),
    ("recipe", {"lora_dropout": 0.99}, "a share below one"),
    ("recipe", {"lora_alpha": 1e-9}, "an adapter that does nothing is a control"),
    ("recipe", {"learning_rate": 1e-12}, "a training that learns nothing is a control"),
    ("recipe", {"epochs": 100}, "overfitting on purpose; the estimate says how long it takes"),
    ("recipe", {"micro_batch_tokens": 1}, "one row at a time, whatever its length"),
    ("mixing", {"n_contrast": 0}, "none is what the paper has"),
    ("mixing", {"topics_left_out": []}, "none is left out"),
    ("mixing", {"choice": "hardest", "n_candidates": 10**9}, "more than there are: all of them"),
    ("decoding", {"temperature": 1e-9}, "next to greedy, for those who compare the two ways"),
    ("decoding", {"temperature": 2}, "the most that services take"),
    ("decoding", {"num_beams": 64}, "slow, and the estimate says so"),
    ("decoding", {"max_new_tokens": 1}, "the first token alone, as in studies of refusal"),
    ("decoding", {"sampling_seed": 3}, "has no effect on greedy answers, and does no harm"),
    ("decoding", {"guard": "Be kind.\nBe brief."}, "a guard may have lines"),
]


@pytest.mark.parametrize(("name", "value", "why"), TAKEN, ids=[f"{one[0]}={one[1]}" for one in TAKEN])
def test_an_odd_value_that_makes_sense_is_taken_as_it_is(name: str, value: object, why: str) -> None:
    study = state(prompt_sets=["malicious"], preset="smoke", **{name: value})
    taken = getattr(study.settings, name)
    if isinstance(value, dict):
        taken = {key: getattr(taken, key) for key in value}
    assert taken == (sorted(value) if isinstance(value, list) else value), why
