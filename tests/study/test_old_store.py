"""A store of an older version: what is sure gets its new name, the rest is told once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from safetune_utils import store
from safetune_utils.models.identity import EMBEDDED_TITLE, GGUF_SHA256
from safetune_utils.models.template import TEMPLATE, TEMPLATE_WITH_INPUT
from safetune_utils.study import old_store, stages
from safetune_utils.study.base import VERSIONS
from safetune_utils.study.design import state
from safetune_utils.study.mixes import rows_key
from safetune_utils.study.study import Run, Study

EMBEDDED = {"name": EMBEDDED_TITLE, "gguf_sha256": GGUF_SHA256, "conversion": "1"}


def smoke(**given: Any) -> Study:
    return state(prompt_sets=["malicious"], preset="smoke", device="cpu", precision="bf16", **given)


def put(stage: str, inputs: dict[str, Any], *, accelerator: str = "none", **files: str) -> Path:
    """A stage as the older version left it."""
    folder = store.stage_folder(stage=stage, label=f"embedded-{stage}", inputs=inputs)
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)
    record = {
        "stage": stage,
        "label": f"embedded-{stage}",
        "inputs": inputs,
        "machine": {"system": "Linux", "processor": "CPU", "threads": 2, "accelerator": accelerator},
        "files": {path.name: store.file_hash(path) for path in folder.iterdir()},
        "facts": {},
        "seconds": 1.0,
        "peak_memory_bytes": 1,
        "started": "",
        "versions": {},
        "code": "",
    }
    (folder / "record.json").write_text(json.dumps(record))
    return folder


def old_adapter(study: Study, run: Run, base_model: dict[str, str] = EMBEDDED, **about: Any) -> Path:
    inputs = {
        "version": 2,
        "recipe": study.settings.recipe.model_dump() | {"lora_alpha": 16.0},
        "seed": run.seed,
        "template": TEMPLATE + TEMPLATE_WITH_INPUT,
        "base_model": base_model,
        "precision": "torch.bfloat16",
        "quantization": "none",
    } | rows_key(study, run)
    return put("adapters", inputs, adapter_model__safetensors="weights", **about)


def old_responses(adapter: Path, study: Study, **about: Any) -> Path:
    inputs = {
        "version": 2,
        "adapter": adapter.name,
        "prompts": store.key_of({"prompts": 1}),
        "decoding": study.settings.decoding.model_dump(),
    }
    return put("responses", inputs, responses__jsonl="{}\n", **about)


def test_an_adapter_and_its_responses_are_found_under_their_new_names() -> None:
    study = smoke()
    run = study.runs[1]
    responses = old_responses(old_adapter(study, run), study)
    assert "2 stages of an older version were taken over" in old_store.take_over()
    assert old_store.take_over() == ""  # told once
    adapter = stages.adapter_folder(study, run, make=False)
    (found,) = (adapter.parent).glob(f"*-{store.key_in(adapter)}")
    assert store.is_made(found)
    (made,) = (path for path in responses.parent.iterdir())
    assert store.read_record(made)["inputs"]["adapter"] == store.key_in(adapter)
    assert store.is_made(made)
    # Responses of an adapter that was trained again and came out otherwise are no longer good.
    path = found / "adapter_model.safetensors"
    path.write_text("others")
    record = json.loads((found / "record.json").read_text()) | {"files": {path.name: store.file_hash(path)}}
    (found / "record.json").write_text(json.dumps(record))
    assert store.is_made(found)
    assert not store.is_made(made)


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("folder", "1 made from a base model in a folder"),
        ("unknown commit", "1 made from a base model in a folder"),
        ("two devices", "1 responses made on another device than their adapter"),
        ("no adapter", "1 responses of adapters that are not there"),
        ("scores", "1 scores"),
    ],
)
def test_what_is_not_sure_stays_and_is_told_in_one_line(kind: str, told: str) -> None:
    study = smoke()
    run = study.runs[0]
    if kind == "folder":
        left = old_adapter(study, run, {"name": "mine", "model.safetensors": "0" * 64})
    elif kind == "unknown commit":
        left = old_adapter(study, run, {"name": "some/model", "commit": "unknown"})
    elif kind == "two devices":
        left = old_responses(old_adapter(study, run), study, accelerator="H100")
    elif kind == "no adapter":
        left = old_responses(Path("embedded-n0-seed0-instruction-0123456789ab"), study)
    else:
        left = put("scores", {"version": 3, "responses": "0" * 64, "scorer": "coherence 1"})
    line = old_store.take_over()
    assert told in line
    assert "\n" not in line
    assert left.is_dir()


def test_an_adapter_of_a_gpu_is_not_taken_for_one_of_the_cpu() -> None:
    study = smoke()
    run = study.runs[0]
    old_adapter(study, run, accelerator="H100")
    old_store.take_over()
    (folder,) = stages.adapter_folder(study, run, make=False).parent.iterdir()
    planned = state(prompt_sets=["malicious"], preset="smoke", device="cuda", precision="bf16")
    keys = [store.key_in(stages.adapter_folder(one, run, make=False)) for one in (study, planned)]
    assert store.key_in(folder) == keys[1] != keys[0]


def test_a_store_that_this_version_began_is_not_taken_for_an_older_one() -> None:
    # The folder was not there when the study was stated, so nothing says of which version it is.
    for stage, version in VERSIONS.items():
        put(stage, {"version": version})
    assert old_store.take_over() == ""
