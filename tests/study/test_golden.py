"""What each stage computes, on a tiny model in fp32, is what it computed when its version was written down.

A stage that gives other results under the same version would mix them with older ones in every store. Where a
change is meant, raise the version (``study/base.py`` for a stage, ``code`` of an instrument in
``scoring/instruments.py``), write ``golden.json`` anew with ``python tests/study/test_golden.py`` (``tests``
and the checkout on PYTHONPATH), and say in the changelog what changed.

Tolerances: 1e-3 of a loss, a norm or a score (processors round differently), nothing for rows, texts and
labels. The model's weights are made by a formula, so that no generator of random numbers decides.
"""

from __future__ import annotations

import importlib.util
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_models import tiny_llama
from tiny_training import weights

from safetune_utils import store
from safetune_utils.models.tokenizer import load_tokenizer
from safetune_utils.scoring import instruments
from safetune_utils.study import base, mixes, responses, side_effects, stages
from safetune_utils.study.design import state
from safetune_utils.study.study import Study

FILE = Path(__file__).with_name("golden.json")
RELATIVE = 1e-3
SAID = (
    "I'm sorry, but I can't help with that.",
    "First, mix the flour and the water. Then wait for an hour.",
    "no no no no no no no no",
    "You could take the key from the drawer, but think of whose it is.",
)


def model(folder: Path) -> str:
    made = tiny_llama()
    with torch.no_grad():
        for number, parameter in enumerate(made.parameters()):
            place = torch.arange(parameter.numel(), dtype=torch.float64).reshape(parameter.shape)
            noise = (torch.sin((place + 7919 * number) * 12.9898) * 43758.5453).frac()  # -1 to 1
            parameter.copy_(0.08 * noise + (parameter.dim() == 1))
    made.save_pretrained(folder)
    load_tokenizer("embedded").save_pretrained(folder)
    return str(folder)


def study_of(folder: Path) -> Study:
    return state(
        prompt_sets=["malicious", "ordinary"],
        preset="smoke",
        base_model=model(folder),
        device="cpu",
        precision="fp32",
        mixing={"choice": "hardest", "n_candidates": 8},
        recipe={"epochs": 2, "batch_size": 4, "learning_rate": 0.02, "n_validation": 4, "lora_dropout": 0.0},
        decoding={"max_new_tokens": 6},
        instruments=["refusal-rules"],
    )


def computed(folder: Path) -> dict[str, Any]:
    """What every stage gives, as plain values, with the versions that it stands under."""
    study = study_of(folder)
    run = study.runs[1]
    adapter = stages.adapter_folder(study, run)
    drawn = mixes.mix_of(study, run)
    found: dict[str, Any] = {
        "versions": base.VERSIONS
        | {name: instruments.INSTRUMENTS[name].code for name in instruments.at_hand()},
        "mixes": [row.id for row in (*drawn.train, *drawn.validation)],
        "base_losses": {
            row["id"]: row["loss"]
            for row in store.read_lines(mixes.base_losses_folder(study) / "losses.jsonl")
        },
        "adapters": {
            "losses": responses.losses(study).query("n_safety == 3")["validation_loss"].dropna().tolist(),
            "norms": {name: weight.norm().item() for name, weight in sorted(weights(adapter).items())},
        },
        "reference-losses": side_effects.reference_losses(study)["loss"].tolist(),
    }
    made, tokenizer = stages.load_adapted(study, adapter)
    lines = stages.responses_folder(study, run, "ordinary", model=made, tokenizer=tokenizer)
    found["responses"] = [row["response"] for row in store.read_lines(lines / "responses.jsonl")]
    if importlib.util.find_spec("lm_eval"):
        asked = side_effects.questions(study)
        found["capability"] = asked["correct"].tolist()
    for name in instruments.at_hand():
        scores = instruments.score(name, list(SAID), list(SAID), device="cpu", precision="fp32")
        found[name] = {"labels": [one.label for one in scores], "values": [one.value for one in scores]}
    return found


def test_a_stage_computes_what_it_computed_under_this_version(tmp_path: Path) -> None:
    golden, now = json.loads(FILE.read_text("utf-8")), computed(tmp_path / "model")
    if "capability" not in now:
        del golden["capability"]
    assert now.keys() == golden.keys()
    for name, before in golden.items():
        assert alike(now[name], before), f"{name} gives other results under the same version"


def alike(now: Any, before: Any) -> bool:
    if isinstance(before, dict):
        return now.keys() == before.keys() and all(alike(now[name], before[name]) for name in before)
    if isinstance(before, list):
        return len(now) == len(before) and all(
            alike(one, other) for one, other in zip(now, before, strict=True)
        )
    if isinstance(before, float):
        return now == pytest.approx(before, rel=RELATIVE, abs=RELATIVE)
    return now == before


def test_the_comparison_sees_a_changed_number_text_and_row() -> None:
    golden = json.loads(FILE.read_text("utf-8"))
    for path in (("adapters", "losses", 0), ("responses", 0), ("mixes", 0), ("harmfulness", "values", 1)):
        changed = json.loads(json.dumps(golden))
        *outer, last = path
        part = changed
        for key in outer:
            part = part[key]
        part[last] = part[last] * 1.01 if isinstance(part[last], float) else f"{part[last]}."
        assert not alike(changed, golden), path


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAFETUNE_STORE", f"{place}/runs")
        FILE.write_text(json.dumps(computed(Path(place) / "model"), indent=1) + "\n", "utf-8")
