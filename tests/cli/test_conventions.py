"""What users of a command line look for: completion, JSON, a file of parameters, how much is told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
import typer
import yaml
from command_line import safetune

from safetune_utils.cli.common import given_from
from safetune_utils.cli.main import app
from safetune_utils.errors import SafetuneError

# It prints JSON anyway.
WITHOUT_JSON = {"train-instrument"}


def commands(group: click.Group, before: str = "") -> dict[str, click.Command]:
    found = {}
    for name, one in group.commands.items():
        inner = commands(one, f"{before}{name} ") if hasattr(one, "commands") else {f"{before}{name}": one}
        found |= inner
    return found


def test_every_command_that_reports_gives_json() -> None:
    found = commands(typer.main.get_command(app))  # type: ignore[arg-type]
    assert len(found) >= 18
    without = {name for name, one in found.items() if not any("--json" in p.opts for p in one.params)}
    assert without == WITHOUT_JSON


def test_a_shell_completes_commands() -> None:
    words = {"COMP_WORDS": "safetune da", "COMP_CWORD": "1", "_SAFETUNE_COMPLETE": "complete_bash"}
    done = subprocess.run(
        [sys.executable, "-m", "safetune_utils"], env=os.environ | words, capture_output=True, text=True
    )
    assert done.stdout.split() == ["data"]


def test_a_study_is_written_as_yaml_and_read_back_and_what_is_given_goes_before(tmp_path: Path) -> None:
    path = tmp_path / "study.yml"
    given = ["-p", "safety_amounts", "[0, 3]", "-p", "recipe", '{"epochs": 1}', "--preset", "smoke"]
    answer = safetune("run", "01", *given, "--save-config", str(path))
    assert answer.returncode == 0, answer.stderr
    wanted = {"preset": "smoke", "safety_amounts": [0, 3], "recipe": {"epochs": 1}}
    assert yaml.safe_load(path.read_text("utf-8")) == wanted
    assert given_from(None, None, path) == wanted
    assert given_from(["seeds=[1]"], "pocket", path) == wanted | {"preset": "pocket", "seeds": [1]}


@pytest.mark.parametrize(
    ("text", "told"),
    [("seeds: [0", "is no YAML"), ("- 1", "holds no parameters"), ("1: 2", "holds no parameters")],
)
def test_a_file_that_holds_no_parameters_is_told(text: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "study.yml").write_text(text)
    with pytest.raises(SafetuneError, match=told):
        given_from(None, None, tmp_path / "study.yml")


def test_how_much_is_told_is_one_of_three() -> None:
    assert "leave one out" in safetune("--quiet", "--verbose", "instruments").stderr
    script = "from safetune_utils.terminal import shows; print(shows('a'), shows(''))"
    for level, shown in (("quiet", "False False"), ("verbose", "True False"), ("", "True False")):
        environment = os.environ | {"SAFETUNE_LOG": level}
        said = subprocess.check_output([sys.executable, "-c", script], env=environment, text=True)
        assert said.strip() == shown


def test_json_of_what_is_told_in_words(tmp_path: Path) -> None:
    answers = tmp_path / "a.jsonl"
    answers.write_text('{"prompt": "Name a bird.", "response": "I will not."}\n')
    scores = tmp_path / "s.jsonl"
    given = ("--scorer", "refusal-rules", "--input", str(answers))
    found = json.loads(safetune("score", *given, "--output", str(scores), "--json").stdout)
    assert (found["rows"], found["scored"], found["mean"]) == (1, 1, 0.0)
    assert json.loads(safetune("score", *given, "--explain", "1", "--json").stdout)["steps"]
