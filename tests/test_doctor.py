"""What the doctor looks at, use by use: what is missing has the command that mends it."""

from __future__ import annotations

import importlib.util
import shutil
from collections import namedtuple
from pathlib import Path

import pytest
from typer.testing import CliRunner

from safetune_utils import doctor
from safetune_utils.cli.main import app

Usage = namedtuple("Usage", "total used free")


def found(use: str, what: str) -> doctor.Finding:
    return next(one for one in doctor.findings([use]) if one["what"] == what)


@pytest.mark.parametrize(("gb", "ok"), [(4, False), (16, True)])
def test_too_little_memory_is_told(gb: int, ok: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "memory_bytes", lambda: gb * 10**9)
    one = found("pocket", "memory")
    assert (one["ok"], one["found"]) == (ok, f"{gb} GB with swap")
    assert ("micro_batch_tokens" in one["mend"]) is not ok


@pytest.mark.parametrize(("gb", "ok"), [(1, False), (3, True)])
def test_a_full_disk_is_told(gb: int, ok: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**12, 0, gb * 10**9))
    assert found("pocket", "disk for the run store")["ok"] is ok


def test_each_package_that_is_missing_has_its_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("SAFETUNE_CACHE", str(tmp_path))
    monkeypatch.delenv("SAFETUNE_STORE")
    monkeypatch.setenv("PATH", "")
    mends = {
        (one["use"], one["what"]): one["mend"]
        for one in doctor.findings(["read", "pocket", "cluster", "teach"])
        if not one["ok"]
    }
    assert mends | {("read", "built book"): "make book"} == {
        ("read", "jupyter-book"): "pip install -e '.[book]'",
        ("read", "built book"): "make book",
        ("pocket", "PyTorch"): "pip install -e '.[book]'",
        ("pocket", "embedded model"): "safetune model install",
        ("cluster", "Snakemake"): "pip install -e '.[cluster]'",
        ("cluster", "its Slurm executor"): "pip install -e '.[cluster]'",
        ("cluster", "Slurm"): "ssh to the cluster's login node",
        ("cluster", "run store that all nodes see"): "export SAFETUNE_STORE=/a/shared/folder",
        ("teach", "JupyterLab"): "pip install -e '.[book]'",
        ("teach", "kernel for notebooks"): "pip install -e '.[book]'",
        ("teach", "embedded model"): "safetune model install",
    }


def test_the_status_is_that_of_the_named_use(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = CliRunner().invoke(app, ["doctor", "pocket"])
    assert (answer.exit_code, "pocket (run it here" in answer.output) == (0, True)
    monkeypatch.setattr(doctor, "memory_bytes", lambda: 10**9)
    answer = CliRunner().invoke(app, ["doctor", "pocket"])
    assert answer.exit_code == 1
    assert "1 missing" in answer.output
    assert "  NO  memory: 1 GB with swap\n       mend: " in answer.output
