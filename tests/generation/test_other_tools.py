"""What other tools read as it is: an adapter and a file of answers, by lm-evaluation-harness."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from tiny_training import train

from safetune_utils.data import Prompt
from safetune_utils.generation.response_files import write_responses
from safetune_utils.places import data_folder


@pytest.mark.slow
def test_lm_evaluation_harness_reads_an_adapter_and_answers_as_they_are(
    base: Path, tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    page = (data_folder().parent / "book" / "rerun.md").read_text("utf-8")
    (task,) = re.findall(r"```yaml\n(task: answers\n.*?)```", page, flags=re.DOTALL)
    (tmp_path / "answers.yaml").write_text(task)
    write_responses(
        tmp_path / "answers.jsonl",
        prompts=[Prompt(id=f"{n}", text=f"Name bird {n}.") for n in range(4)],
        responses=["A wren.", "A crow.", "A swan.", "A duck."],
        model="tiny",
        adapter=None,
    )
    train(tokenizer, tmp_path / "adapter")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    manager = TaskManager(include_path=str(tmp_path))
    found = {}
    for peft in ("", f",peft={tmp_path / 'adapter'}"):
        given = {"model": "hf", "model_args": f"pretrained={base},dtype=float32{peft}", "device": "cpu"}
        results = simple_evaluate(tasks=["answers"], task_manager=manager, bootstrap_iters=0, **given)
        (samples,) = results["samples"].values()
        assert {one["doc"]["response"] for one in samples} == {"A wren.", "A crow.", "A swan.", "A duck."}
        found[peft] = results["results"]["answers"]["perplexity,none"]
    alone, adapted = found.values()
    assert alone != adapted
    assert min(alone, adapted) > 1
