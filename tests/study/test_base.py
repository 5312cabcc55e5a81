"""The base model of a study: what is loaded is what was identified."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from local_hub import Hub
from tiny_models import tiny_llama

from safetune_utils.errors import SafetuneError
from safetune_utils.study.design import state
from safetune_utils.study.run import run

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
    changed = tiny_llama()
    with torch.no_grad():
        changed.lm_head.weight += 1
    changed.save_pretrained(other)
    with Hub([base, other]) as hub:
        first, second = hub.commits
        found = hub.ask(SCRIPT, home=tmp_path / "hub")
        hub.shutdown()
    assert (found["revision"], found["varied"], found["now"]) == (first, first, second)
    assert found["first"] == tiny_llama().lm_head.weight[0, 0].item()


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
