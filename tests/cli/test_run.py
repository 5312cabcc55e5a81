"""Notebooks from the command line, and what they would take."""

from __future__ import annotations

import json
import subprocess
import sys

from command_line import safetune


def test_the_parameters_of_a_notebook_are_printed() -> None:
    answer = safetune("run", "01", "--help-notebook")
    assert answer.returncode == 0
    assert "safety_amounts: list[int] = None\n    safety examples;" in answer.stdout


def test_the_command_prints_plain_data_and_one_line_for_a_wrong_card() -> None:
    def safetune(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "safetune_utils", "estimate", *arguments],
            capture_output=True,
            text=True,
            timeout=300,
        )

    answer = safetune("--preset", "smoke", "--hardware", "T4", "-p", "safety_amounts", "[0]", "--json")
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout)["parameters"]["total"] == 134_515_008
    wrong = safetune("--hardware", "A100-4")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr.splitlines()[-1].startswith(
        "safetune: unknown hardware 'A100-4': did you mean 'A100-40'"
    )
