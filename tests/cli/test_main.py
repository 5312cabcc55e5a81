"""The command line: exit statuses, one line for a mistake, parameters as to papermill."""

from __future__ import annotations

import importlib.metadata
import json
import shlex
import subprocess
import sys

import pytest
from command_line import safetune

from safetune_utils.cli import main


def test_a_real_process_ends_with_that_line_and_status() -> None:
    answer = safetune("compare", "nothing", "pocket")
    assert (answer.returncode, answer.stdout) == (2, "")
    (line,) = answer.stderr.splitlines()
    assert line.startswith(
        "safetune: 'nothing' is no folder of executed notebooks, no executed notebook and no"
    )


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
def test_a_limit_below_which_no_library_can_be_loaded_is_one_line() -> None:
    words = f"ulimit -v 250000; exec {shlex.quote(sys.executable)} -m safetune_utils data list"
    answer = subprocess.run(["sh", "-c", words], capture_output=True, text=True)
    assert (answer.returncode, answer.stdout) == (2, "")
    (line,) = answer.stderr.splitlines()
    assert line.startswith("safetune: this process may have 0.256 GB of memory, too little to begin: raise")


def test_parameters_are_given_as_to_papermill() -> None:
    for given, taken in (
        (["run", "01", "-p", "seeds", "[0, 1]", "--json"], ["run", "01", "-p", "seeds=[0, 1]", "--json"]),
        (["-p", "a=1", "-p", "b", "2"], ["-p", "a=1", "-p", "b=2"]),
        (["--parameter", "a", "1"], ["--parameter", "a=1"]),
    ):
        assert main._joined_pairs(given) == taken


@pytest.mark.sample
@pytest.mark.slow
def test_doctor_and_the_list_of_data() -> None:
    found = json.loads(safetune("doctor", "--json").stdout)
    assert {"Python", "embedded model", "data folder"} <= {entry["what"] for entry in found}
    assert all(entry["ok"] or entry["mend"] for entry in found)
    listed = {row["name"]: row for row in json.loads(safetune("data", "list", "--json").stdout)}
    assert listed["corpus/general"]["rows"] >= 500
    assert listed["XSTest"]["licence"] == "CC-BY-4.0"


def test_the_version_is_that_of_the_installed_package() -> None:
    answer = safetune("--version")
    assert (answer.returncode, answer.stdout.strip()) == (0, importlib.metadata.version("safetune-utils"))
