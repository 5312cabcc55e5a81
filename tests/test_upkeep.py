"""The scheduled run with the newest versions: what it asks for, and what it reports."""

from __future__ import annotations

import importlib.util
import subprocess
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from safetune_utils.places import data_folder

ROOT = data_folder().parent


@pytest.fixture
def upkeep() -> ModuleType:
    spec = importlib.util.spec_from_file_location("upkeep", ROOT / ".ci" / "upkeep.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_runs_by_the_week_and_by_hand() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "upkeep.yml").read_text("utf-8"))
    assert set(workflow[True]) == {"schedule", "workflow_dispatch"}  # YAML reads the key `on` as a truth
    assert workflow["jobs"]["newest"]["steps"][-1]["run"] == "python .ci/upkeep.py"


def test_it_takes_what_is_newest_and_keeps_the_pins_of_the_site(upkeep: ModuleType) -> None:
    assert {"torch", "transformers", "peft"} <= set(upkeep.unbound())
    assert not any("=" in name or "<" in name for name in upkeep.unbound())
    assert any(one.startswith("jupyter-book==1.") for one in upkeep.pinned())
    assert upkeep.locked()["jupyter-book"].startswith("1.")


def test_the_report_says_what_failed_and_which_versions_are_new(upkeep: ModuleType) -> None:
    text = upkeep.report({"torch": "1", "numpy": "2"}, {"torch": "3", "numpy": "2", "new": "1"}, None)
    assert text.startswith("**The book runs with the newest versions.**")
    assert "| torch | 1 | 3 |" in text
    assert "numpy" not in text
    failed = upkeep.report({}, {}, ("safetune book", "long\ntold at last"))
    assert "`safetune book` failed" in failed
    assert "told at last" in failed


def test_a_step_that_fails_ends_it_with_its_status_and_a_report(
    upkeep: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        asked.append(command)
        return subprocess.CompletedProcess(command, 7 if "--upgrade" in command else 0, "", "no such version")

    monkeypatch.setattr(upkeep.subprocess, "run", run)
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    assert upkeep.main() == 7
    assert "no such version" in (tmp_path / "summary.md").read_text("utf-8")
    assert not any("book" in command for command in asked)
