"""The commands of the page on the class study, as a teacher gives them, at the size of a test."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pair_items import annotated

from safetune_utils.annotation import preference
from safetune_utils.generation.response_files import read_responses
from safetune_utils.places import repository_folder

PROGRAM = '#!/bin/sh\nexec "{python}" -m safetune_utils "$@"\n'


def blocks(language: str) -> list[str]:
    page = (repository_folder() / "book" / "teach" / "class_study.md").read_text("utf-8")
    return re.findall(rf"```{language}\n(.*?)```", page, flags=re.DOTALL)


@pytest.mark.slow
def test_every_command_of_the_class_study_runs_and_ends_in_the_pages_of_a_class(tmp_path: Path) -> None:
    (program := tmp_path / "bin" / "safetune").parent.mkdir()
    program.write_text(PROGRAM.format(python=sys.executable))
    program.chmod(0o755)
    variables = os.environ | {"PATH": f"{program.parent}:{os.environ['PATH']}"}

    def ran(*words: str) -> str:
        done = subprocess.run(words, cwd=tmp_path, env=variables, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    (prepare,) = blocks("python")
    ran(sys.executable, "-c", prepare)
    make, tally = blocks("bash")
    small = make.replace("--preset classroom --amount 200", "--preset smoke --amount 3")
    small = small.replace("--preset classroom", "--preset smoke")
    small = small.replace("safetune generate", "safetune generate --max-new-tokens 4")
    ran("bash", "-ec", small)
    differs: dict[str, str] = {}
    (tmp_path / "exports").mkdir()
    for name in ("malicious", "ordinary"):
        first, second = (tmp_path / f"{name}-{kind}.jsonl" for kind in ("tuned", "untuned"))
        prompts, responses = read_responses(first)
        differs[name] = prompts[8]
        _, others = read_responses(second)
        items = preference.pairs(
            prompts, responses, others, first_name=first.stem, second_name=second.stem, seed=4711
        )
        assert len(items) == 10
        assert "student" not in (tmp_path / f"{name}.html").read_text("utf-8")
        for number in range(6):
            outcomes = "wwwwwwwwlg" if number % 2 else "wwwwwwwwwg"
            one = annotated(f"student {number}", outcomes, items=items)
            path = tmp_path / "exports" / f"annotation-{name}-{number}.json"
            preference.write_annotation(one, path, items=items)
    told = ran("bash", "-ec", tally)
    for name in ("malicious", "ordinary"):
        page = (tmp_path / f"class-{name}.html").read_text("utf-8")
        assert f"{name}-tuned" in page
        assert differs[name] in page
    assert "student 3" not in told  # a line for each of a class is for --pairwise
