"""The base model of a study: what is loaded is what was identified, and what it cannot do is said before."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import architectures
import pytest
import torch
from local_hub import Hub
from tiny_models import N_FEW_WORDS, tiny_llama
from typer.testing import CliRunner

from safetune_utils import store
from safetune_utils.cli.main import app
from safetune_utils.errors import SafetuneError
from safetune_utils.estimate.estimate import estimate
from safetune_utils.models import architecture, base_model
from safetune_utils.settings import USUAL_TARGETS
from safetune_utils.study import base as base_of_study
from safetune_utils.study import stages
from safetune_utils.study.design import state, vary
from safetune_utils.study.plan import plan
from safetune_utils.study.run import run
from safetune_utils.study.study import Study

# Identifies the model, lets the hub's main branch move to another commit, then loads.
SCRIPT = """
import json, sys, urllib.request
from safetune_utils.study import base
from safetune_utils.study.design import state, vary

study = state(prompt_sets=[], preset="smoke", base_model=sys.argv[1], precision="fp32")
urllib.request.urlopen(sys.argv[2] + "/move-main").close()
model, _ = base.load(study)
print(json.dumps({
    "revision": study.settings.revision,
    "first": model.lm_head.weight[0, 0].item(),
    "varied": vary(study, seeds=[1]).settings.revision,
    "now": state(prompt_sets=[], preset="smoke", base_model=sys.argv[1]).settings.revision,
}))
"""


def test_a_hub_model_is_loaded_at_the_revision_that_was_identified(base: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(base, other)
    changed = tiny_llama(n_tokens=N_FEW_WORDS)
    with torch.no_grad():
        changed.lm_head.weight += 1
    changed.save_pretrained(other)
    with Hub([base, other]) as hub:
        first, second = hub.commits
        found = hub.ask(SCRIPT, home=tmp_path / "hub")
        hub.shutdown()
    assert (found["revision"], found["varied"], found["now"]) == (first, first, second)
    assert found["first"] == tiny_llama(n_tokens=N_FEW_WORDS).lm_head.weight[0, 0].item()


def test_a_revision_is_of_a_hub_model_only(base: Path) -> None:
    with pytest.raises(SafetuneError, match="leave revision away"):
        state(prompt_sets=[], preset="smoke", base_model=str(base), revision="main")


def test_a_study_for_a_gpu_is_told_at_once_that_there_is_none(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    study = state(
        prompt_sets=["ordinary"], preset="smoke", base_model=str(base), device="cuda", precision="bf16"
    )
    with pytest.raises(SafetuneError, match="run it where there is one"):
        run(study)


def tiny_study(folder: Path, **given: Any) -> Study:
    return state(
        **{"prompt_sets": ["ordinary"], "preset": "smoke", "base_model": str(folder), "precision": "fp32"}
        | {"instruments": ["refusal-rules"], "safety_amounts": [0], "max_prompts": 2}
        | given
    )


# Settings of the tiny model, those of the study, and the line.
CANNOT = {
    "a prompt beyond the context": (
        {"max_position_embeddings": 70},
        {"decoding": {"max_new_tokens": 50}, "recipe": {"max_length": 64}},
        r"^a prompt of ordinary has \d+ tokens and an answer of up to 50, and base model '.*' reads at most "
        r"70 together: lower max_new_tokens in decoding, or leave long prompts out$",
    ),
    "a row beyond the context": (
        {"max_position_embeddings": 70},
        {"prompt_sets": []},
        r"^a training row has \d+ tokens, and base model '.*' reads at most 70 together: "
        r"lower max_length in recipe to 70$",
    ),
    "a prompt with a token beyond the embedding": (
        {"vocab_size": 500},
        {},
        r"^a prompt of ordinary holds the token \d+, and base model '.*' has embeddings for 500: "
        r"give the model with the tokenizer that it was saved with$",
    ),
    "a row with a token beyond the embedding": (
        {"vocab_size": 500},
        {"prompt_sets": []},
        r"^a training row holds the token \d+, and base model",
    ),
    "layers that the model lacks": (
        {},
        {"recipe": {"target_modules": ["c_attn"]}},
        r"^target_modules \['c_attn'\] are not layers of this model: choose from embed_tokens, q_proj",
    ),
}


@pytest.mark.parametrize("fault", CANNOT)
def test_what_a_base_model_cannot_do_is_said_before_its_weights_are_read(
    fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, given, line = CANNOT[fault]
    study = tiny_study(
        architectures.save(architectures.tiny("llama", **settings), tmp_path / "tiny"), **given
    )
    monkeypatch.setattr(base_model, "_loaded", None)  # nothing to read weights with
    with pytest.raises(SafetuneError, match=line):
        run(study)


def test_a_study_names_the_layers_of_its_model_and_says_so_where_they_are_others_than_usual(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert state(prompt_sets=[], preset="smoke").settings.recipe.target_modules == ["q_proj", "v_proj"]
    assert tiny_study(base).settings.recipe.target_modules == ["q_proj", "v_proj"]
    assert capsys.readouterr().err == ""
    folder = architectures.save(architectures.tiny("gpt2"), tmp_path / "gpt2")
    capsys.readouterr()
    study = tiny_study(folder)
    assert study.settings.recipe.target_modules == ["c_attn"]
    assert capsys.readouterr().err == "adapters on gpt2 are put on c_attn\n"
    assert vary(study, base_model=str(base)).settings.recipe.target_modules == ["q_proj", "v_proj"]
    named = tiny_study(folder, recipe={"target_modules": ["c_proj"]})
    assert named.settings.recipe.target_modules == ["c_proj"]
    folders = {stages.adapter_folder(one, one.runs[0], make=False).name for one in (study, named)}
    assert len(folders) == 2
    assert run(study)["response"].size == 2


@pytest.mark.slow
def test_an_architecture_whose_sizes_cannot_be_read_is_estimated_as_unknown_and_runs(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(config: object) -> None:
        raise AttributeError("'StrangeConfig' object has no attribute 'num_hidden_layers'")

    monkeypatch.setattr(architecture, "from_config", unreadable)
    monkeypatch.setattr(base_of_study, "WITH_USUAL_TARGETS", ())  # nor is its name known
    monkeypatch.setattr(
        "safetune_utils.study.run._SUBPROCESS_FROM_ROWS", 0
    )  # where their memory is asked for
    study = tiny_study(base)
    assert study.settings.recipe.target_modules is None
    assert estimate(settings=study.settings, hardware="T4") is None
    assert plan(study)["minutes_left"].notna().all()
    assert len(run(study)) == 2
    record = store.record_of(stages.adapter_folder(study, study.runs[0], make=False))
    assert record["inputs"]["recipe"].get("target_modules") is None


def test_the_estimate_of_unknown_sizes_is_no_failure_of_the_command(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(architecture, "from_config", None)
    words = ["estimate", "--preset", "smoke", "--hardware", "T4", "--base", str(base)]
    for more in ([], ["--json"]):
        answer = CliRunner().invoke(app, words + more)
        assert answer.exit_code == 0, answer.output
        assert f"unknown: base model '{base}' has parts that are not counted here" in answer.output


@pytest.mark.parametrize(
    ("stage", "line"),
    [
        ("training.finetune.accumulate_gradient", r"lower micro_batch_tokens in recipe \(now 1024\)"),
        ("generation.generate._said", r"lower batch_size in decoding \(now 96\)"),
        ("models.base_model._loaded", "set quantization to int8 or nf4, precision to bf16"),
    ],
)
def test_too_little_memory_in_a_stage_says_which_setting_to_lower(
    stage: str, line: str, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def greedy(*_: object, **__: object) -> None:
        torch.empty(2**60, dtype=torch.uint8)

    monkeypatch.setattr(f"safetune_utils.{stage}", greedy)
    with pytest.raises(SafetuneError, match=f"^this machine's memory is too small for this: {line}"):
        run(tiny_study(base))


def test_the_adapter_of_a_study_names_its_base_without_its_folder(base: Path) -> None:
    study = tiny_study(base, prompt_sets=[])
    folder = stages.adapter_folder(study, study.runs[0])
    written = (folder / "adapter_config.json").read_text("utf-8")
    config = json.loads(written)
    assert (config["base_model_name_or_path"], config["revision"]) == ("tiny", study.base_identity)
    assert str(base.parent) not in written


def test_the_layers_of_usual_architectures_are_those_of_peft() -> None:
    from peft.utils import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as PEFT

    for name in base_of_study.WITH_USUAL_TARGETS:
        assert PEFT[name] == USUAL_TARGETS, name
