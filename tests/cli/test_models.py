"""Training and generating from the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import architectures
import pytest
from command_line import safetune
from tiny_training import ONE_THREAD
from typer.testing import CliRunner

from safetune_utils.cli.main import app
from safetune_utils.errors import SafetuneError
from safetune_utils.generation import generate
from safetune_utils.models import base_model
from safetune_utils.models.template import prompt_text
from safetune_utils.study.design import state
from safetune_utils.study.run import run
from safetune_utils.training import rows


@pytest.mark.slow
def test_generating_reads_and_writes_the_original_s_forms_and_scoring_reads_those(tmp_path: Path) -> None:
    asked = {
        "instructions": ["Name a fruit.", "Sort the words.", "Name a fruit."],
        "inputs": ["", "pear apple", None],
        "tags": ["a", "b", "a"],
    }
    (tmp_path / "in.json").write_text(json.dumps(asked))
    files = ("--input", str(tmp_path / "in.json"), "--output", str(tmp_path / "out.json"))
    answer = safetune("generate", *files, "--max-new-tokens", "8")
    assert answer.returncode == 0, answer.stderr
    written = json.loads((tmp_path / "out.json").read_text())
    assert list(written) == ["parameters", "inputs", "instructions", "outputs"]
    assert list(written["parameters"]) == ["model", "prompt_template", "lora_weights", "load_8bit"]
    assert written["instructions"] == asked["instructions"]
    assert written["inputs"] == [None, "pear apple", None]
    first, sorted_words, again = written["outputs"]
    assert first == again
    assert sorted_words != first
    scored = safetune(
        "score", "--input", str(tmp_path / "out.json"), "--output", str(tmp_path / "scores.jsonl")
    )
    assert scored.returncode == 0, scored.stderr
    assert len((tmp_path / "scores.jsonl").read_text().splitlines()) == 3


@pytest.mark.slow
def test_the_command_line_trains_under_accelerate_launch(base: Path, tmp_path: Path) -> None:
    launcher = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    launcher += ["--num_machines", "1", "--main_process_port", "0", "--mixed_precision", "no"]
    words = ["finetune", "--base", str(base), "--preset", "smoke", "--amount", "4"]
    words += ["--output", str(tmp_path / "adapter")]
    command = [*launcher, "--dynamo_backend", "no", "-m", "safetune_utils", *words]
    done = subprocess.run(
        command, env=os.environ | ONE_THREAD, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split() == [str(tmp_path / "adapter")]  # said once
    assert {path.name for path in (tmp_path / "adapter").iterdir()} == {
        "adapter_config.json",
        "adapter_model.safetensors",
        "losses.csv",
    }


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--max-new-tokens", "500"], "a prompt has 36 tokens and an answer of up to 500, and base model"),
        (["--adapter", "nowhere"], "there is no folder nowhere: give the folder of an adapter"),
        (["--template", "chat"], "no chat template: set template to alpaca"),
    ],
)
def test_what_cannot_be_answered_is_said_before_weights_are_read(
    options: list[str], line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = architectures.save(architectures.tiny("llama"), tmp_path / "tiny")
    (tmp_path / "in.jsonl").write_text('{"instruction": "Name a fruit."}\n')
    monkeypatch.setattr(base_model, "_loaded", None)  # nothing to read weights with
    files = ["--input", str(tmp_path / "in.jsonl"), "--output", str(tmp_path / "out.jsonl")]
    answer = CliRunner().invoke(app, ["generate", "--base", str(base), *files, *options])
    assert isinstance(answer.exception, SafetuneError)
    assert line in str(answer.exception)


def test_what_cannot_be_trained_is_said_before_weights_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = architectures.tiny("llama", max_position_embeddings=70)
    base = architectures.save(model, tmp_path / "tiny")
    monkeypatch.setattr(base_model, "_loaded", None)
    words = ["finetune", "--base", str(base), "--preset", "smoke", "--output", str(tmp_path / "adapter")]
    answer = CliRunner().invoke(app, words)
    assert isinstance(answer.exception, SafetuneError)
    assert "lower max_length in recipe to 70" in str(answer.exception)


@pytest.mark.slow
def test_a_study_is_trained_and_asked_in_the_form_that_one_parameter_names(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: dict[str, list[str]] = {}
    for template in ("alpaca", "chat"):
        seen = shown.setdefault(template, [])
        study = state(prompt_sets=["malicious"], preset="smoke", base_model=str(base), template=template)
        with monkeypatch.context() as patch:
            patch.setattr(rows, "prompt_text", _noting(prompt_text, seen))
            patch.setattr(generate, "prompt_text", _noting(prompt_text, seen))
            run(study)
        n_rows = sum(study.n_rows(one) for one in study.runs)
        assert len(seen) >= n_rows + len(study.runs) * len(study.prompts("malicious"))
    assert all("### Response:" in text and "<|im_start|>" not in text for text in shown["alpaca"])
    assert all(text.endswith("<|im_start|>assistant\n") and "###" not in text for text in shown["chat"])


def _noting(real: Callable[..., str], seen: list[str]) -> Callable[..., str]:
    def noted(*given: object, **more: object) -> str:
        seen.append(real(*given, **more))
        return seen[-1]

    return noted
