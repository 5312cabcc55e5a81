"""Responses of an engine in a process of its own, through the API that engines share."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import safetune
from local_server import transformers_serve


@pytest.mark.slow
def test_a_served_model_answers_the_prompts_of_a_file_and_is_not_asked_twice(
    base: Path, tmp_path: Path
) -> None:
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text('{"prompt": "Name a bird."}\n{"prompt": "Sort:", "input": "b a"}\n')
    output = tmp_path / "answers.jsonl"
    given = ["--input", str(prompts), "--max-new-tokens", "4", "--served-model", base.name]
    with transformers_serve(base, tmp_path / "log") as url:
        first = safetune("generate", *given, "--server", url, "--output", str(output))
        assert first.returncode == 0, first.stderr
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    assert [row["prompt"] for row in rows] == ["Name a bird.", "Sort:"]
    assert all(isinstance(row["response"], str) for row in rows)
    # The server is gone, and what it said is kept.
    again = tmp_path / "again.jsonl"
    assert safetune("generate", *given, "--server", url, "--output", str(again)).returncode == 0
    assert again.read_text() == output.read_text()


@pytest.mark.slow
def test_what_a_server_cannot_do_is_told_first(tmp_path: Path) -> None:
    (tmp_path / "prompts.jsonl").write_text('{"prompt": "Name a bird."}\n')
    given = ["generate", "--input", str(tmp_path / "prompts.jsonl"), "--output", str(tmp_path / "a.jsonl")]
    at = ["--server", "http://127.0.0.1:9/v1"]
    named = [*at, "--served-model", "a"]
    for words, told in (
        (at, "--server needs --served-model"),
        ([*named, "--adapter", "b"], "leave out --base and --adapter"),
        ([*named, "--num-beams", "4"], "a server does not search with beams"),
        (named, "127.0.0.1"),
    ):
        answer = safetune(*given, *words)
        assert (answer.returncode, answer.stderr.count("\n")) == (2, 1), answer.stderr
        assert told in answer.stderr
