"""Notebooks from the command line, and what they would take."""

from __future__ import annotations

import json

import pytest
from command_line import safetune


def test_the_parameters_of_a_notebook_are_printed() -> None:
    answer = safetune("run", "01", "--help-notebook")
    assert answer.returncode == 0
    assert "safety_amounts: list[int] = None\n    safety examples;" in answer.stdout


@pytest.mark.slow
def test_an_estimate_is_printed_as_plain_data_and_wrong_hardware_is_one_line() -> None:
    given = ("--preset", "smoke", "--hardware", "T4", "-p", "safety_amounts", "[0]")
    answer = safetune("estimate", *given, "--json")
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout)["parameters"]["total"] == 134_515_008
    wrong = safetune("estimate", "--hardware", "A100-4")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    told = "safetune: unknown hardware 'A100-4': did you mean 'A100-40'"
    assert wrong.stderr.splitlines()[-1].startswith(told)
