"""A study is run: each mix drawn once, every stage made once, in subprocesses where it pays, on any
architecture.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_training import tiny_study, weights
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    MambaConfig,
    MambaForCausalLM,
)

from safetune_utils import places
from safetune_utils.data.mix import Mix
from safetune_utils.models import base_model
from safetune_utils.study import mixes, responses, stages
from safetune_utils.study import run as studying
from safetune_utils.study.design import state, vary
from safetune_utils.study.plan import plan
from safetune_utils.study.run import run, run_together
from safetune_utils.study.stages import sets_left
from safetune_utils.study.study import Study


def two_adapters(base: Path, **given: Any) -> Study:
    """Adapters of 4 + 0 and 4 + 3 rows on the model in a folder, asked four ordinary prompts each."""
    return state(
        prompt_sets=["ordinary"],
        preset="smoke",
        base_model=str(base),
        precision="fp32",
        recipe={"learning_rate": 0.05},
        instruments=["refusal-rules"],
        **given,
    )


@pytest.mark.parametrize("choice", ["random", "hardest"])
def test_each_mix_is_drawn_once_from_statement_to_table(
    choice: str, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draws: list[tuple[int, bool]] = []
    draw = mixes.mix

    def counted(**given: Any) -> Mix:
        draws.append((given["n_safety"], given["places"] is not None))
        return draw(**given)

    monkeypatch.setattr(mixes, "mix", counted)
    study = two_adapters(base, mixing={"choice": choice})
    plan(study)
    assert len(run(study)) == 8
    plan(study)
    responses.losses(study)
    if choice == "random":
        assert draws == [(0, False), (3, False)]
    else:  # when it was stated, only whether there are enough rows; the losses wait until it is run
        assert draws == [(0, False), (3, False), (0, True), (3, True)]


def test_an_adapter_that_two_studies_share_is_trained_once_and_a_second_run_makes_nothing(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = two_adapters(base)
    both = run_together([study, two_adapters(base, safety_amounts=[3])])
    assert both["study"].value_counts().to_dict() == {0: 8, 1: 4}
    made = {path.name for path in (places.store_folder() / "adapters").iterdir() if path.is_dir()}
    assert made == {stages.adapter_folder(study, one, make=False).name for one in study.runs}
    assert plan(study)[["responses_left", "scores_left"]].to_numpy().sum() == 0
    shared = [both[both["n_safety"].eq(3) & both["study"].eq(n)]["response"].tolist() for n in (0, 1)]
    assert shared[0] == shared[1]

    def loaded(*_: object, **__: object) -> None:
        raise AssertionError("a model was loaded for what is there already")

    monkeypatch.setattr(base_model, "load_base", loaded)
    first = both[both["study"].eq(0)].drop(columns="study").reset_index(drop=True)
    assert run(study).equals(first)


def test_what_is_left_of_several_studies_is_a_piece_of_work_once_and_waits_for_what_it_needs(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(studying, "_SUBPROCESS_FROM_PIECES", 99)
    hard = two_adapters(base, mixing={"choice": "hardest"}, safety_amounts=[3])
    plain = two_adapters(base)
    twice = [plain, two_adapters(base), hard]
    losses, *pieces = studying._pieces(twice)
    assert (losses.work, losses.after) == (mixes.base_losses_folder, None)
    assert [piece.work for piece in pieces] == [stages.adapter_folder, studying.respond] * 3
    for train, ask in zip(pieces[::2], pieces[1::2], strict=True):
        assert ask.after is train
        # Four answers by an adapter, however many studies ask for them.
        assert ask.minutes == pytest.approx(4 / 15 / 60)
    assert [train.after for train in pieces[::2]] == [None, None, losses]
    assert [len(ask.arguments[0]) for ask in pieces[1::2]] == [2, 2, 1]
    run_together(twice)
    assert studying._pieces(twice) == []


@pytest.mark.slow
def test_an_adapter_with_much_to_answer_is_asked_in_two_halves_that_come_to_the_same(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(studying, "_SUBPROCESS_FROM_PIECES", 99)
    study = vary(
        two_adapters(base, safety_amounts=[3], side_effects=["reference-losses"]),
        prompt_sets=["ordinary", "malicious"],
    )
    whole = run(study)
    monkeypatch.setenv("SAFETUNE_STORE", str(tmp_path / "halves"))
    monkeypatch.setattr(studying, "_HALVES_FROM_MINUTES", 0.0)
    train, *halves = studying._pieces([study])
    assert [half.after for half in halves] == [train, train]
    names = [half.arguments[1] for half in halves]
    assert sorted([*names[0], *names[1]]) == ["malicious", "ordinary", "reference-losses"]
    assert sum(half.minutes for half in halves) == pytest.approx(12 / 15 / 60)
    train.work(*train.arguments)
    halves[1].work(*halves[1].arguments)
    assert {name for one in study.runs for name in sets_left(study, one)} == {*names[0]} & {
        *study.prompt_sets
    }
    halves[0].work(*halves[0].arguments)
    assert studying._pieces([study]) == []
    assert run(study).equals(whole)


ALL_MADE = """
from subprocess_work import heavy
from safetune_utils.study.design import state
from safetune_utils.study.plan import plan
from safetune_utils.study.run import run

study = state(
    prompt_sets=["ordinary"],
    preset="smoke",
    base_model={base!r},
    precision="fp32",
    recipe={{"learning_rate": 0.05}},
    instruments=["refusal-rules"],
    side_effects=["reference-losses"],
)
print(len(run(study)), plan(study)["minutes_left"].sum(), heavy())
"""


def test_a_study_that_is_all_made_is_run_without_what_loads_models(base: Path) -> None:
    run(two_adapters(base, side_effects=["reference-losses"]))
    script = ALL_MADE.format(base=str(base))
    said = subprocess.check_output([sys.executable, "-c", script], text=True, cwd=Path(__file__).parents[1])
    assert said.strip() == "8 0.0 []"


def test_an_adapter_made_in_a_subprocess_is_the_one_made_here(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {}
    for place, least_rows in (("here", 10**9), ("subprocess", 0)):
        with monkeypatch.context() as patch:
            patch.setenv("SAFETUNE_STORE", str(tmp_path / place))
            patch.setattr("safetune_utils.study.run._SUBPROCESS_FROM_ROWS", least_rows)
            if place == "subprocess":
                patch.setattr(
                    "safetune_utils.training.finetune.finetune", None
                )  # none to call in this process
            study = tiny_study(base)
            assert run(study).empty  # no prompt set was asked for
            found[place] = weights(stages.adapter_folder(study, study.runs[0], make=False))
    assert found["here"].keys() == found["subprocess"].keys()
    assert all(torch.equal(found["subprocess"][name], weight) for name, weight in found["here"].items())


# Attention of another kind, none at all, and layers that are no `Linear`: nothing is told of them but where
# they are.
STRANGERS = {
    "gpt_neox": (
        GPTNeoXConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64),
        GPTNeoXForCausalLM,
    ),
    "gpt2": (GPT2Config(n_embd=32, n_layer=2, n_head=4), GPT2LMHeadModel),
    "mamba": (MambaConfig(hidden_size=32, num_hidden_layers=2, state_size=4), MambaForCausalLM),
    "gemma3": (
        Gemma3TextConfig(
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=8,
            intermediate_size=64,
            sliding_window=16,
        ),
        Gemma3ForCausalLM,
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        pytest.param("gemma3", marks=pytest.mark.sample),
        *(name for name in STRANGERS if name != "gemma3"),
    ],
)
def test_an_architecture_that_the_package_was_not_made_on_goes_the_whole_road(
    name: str, tokenizer, tmp_path: Path
) -> None:
    config, kind = STRANGERS[name]
    config.vocab_size, config.pad_token_id = len(tokenizer), 0
    config.bos_token_id, config.eos_token_id = 1, tokenizer.eos_token_id
    torch.manual_seed(0)
    kind(config).save_pretrained(tmp_path / name)
    tokenizer.save_pretrained(tmp_path / name)
    study = state(
        prompt_sets=["malicious"],
        preset="smoke",
        base_model=str(tmp_path / name),
        precision="fp32",
        max_prompts=3,
        recipe={"learning_rate": 0.05},
        instruments=["refusal-rules"],
    )
    table = run(study)
    counts = table.groupby("n_safety")["n_tokens"].agg(["count", "max"])
    assert counts.to_numpy().tolist() == [[3, 4], [3, 4]]
    assert set(table["base_model"]) == {name}
    # An adapter that stayed zero would have been an error.
    assert list(responses.adapter_records(study)["steps"]) == [1, 1]
