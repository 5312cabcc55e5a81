"""Data sets from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import safetune

from safetune_utils import data


def test_the_data_commands(mirror: Path) -> None:
    listed = safetune("data", "list").stdout.splitlines()
    assert listed[0].split() == ["name", "where", "rows", "size", "licence", "tests"]
    assert any(line.split()[:3] == ["XSTest", "mirror", "450"] for line in listed)
    fetched = safetune("data", "fetch", "I-CoNa")
    assert "CC-BY-NC-4.0, non-commercial use only; Bianchi" in fetched.stdout
    verified = safetune("data", "verify")
    assert verified.returncode == 0
    assert verified.stdout.count("ok ") >= 16
    assert "not compared: mix-100" in verified.stdout
    shared = safetune("data", "overlap", "paper-sample", "--json")
    assert {row["title"] for row in json.loads(shared.stdout) if row["exact"]} == {"I-Alpaca", "Q-Harm"}


def test_a_damaged_file_fails_verification(
    tmp_path: Path, mirror: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = data.registered_sets()["Q-Harm"]
    path = tmp_path / entry.relative
    path.parent.mkdir(parents=True)
    path.write_bytes((mirror / entry.relative).read_bytes() + b" ")
    monkeypatch.setenv("SAFETUNE_MIRROR", str(tmp_path))
    answer = safetune("data", "verify")
    assert answer.returncode == 2
    assert "Q-Harm has the wrong sha256" in answer.stdout
    told = "safetune: 1 file(s) have the wrong hash: delete them and fetch them again"
    assert answer.stderr.strip() == told
