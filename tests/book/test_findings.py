"""What is published of a run: its numbers, and no text of an output."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from executed_copy import SECRET

from safetune_utils.book import (
    findings,
)
from safetune_utils.errors import SafetuneError


def test_what_is_published_holds_the_numbers_and_no_output_text(copy: Path, tmp_path: Path) -> None:
    target = findings.publish([copy], name="mine", folder=tmp_path / "published")
    found = findings.read(target)["01_safety_amount"]
    assert found == findings.outcome(copy)
    share = {"kind": "Share", "n": 98, "value": 0.5, "low": 0.4, "high": 0.6}
    assert found["numbers"] == {"malicious_last": share, "claim_obeys_without_safety": share}
    assert found["adapters"]["embedded-n5-seed0-instruction-abc"]["seconds"] == 60.0
    assert (
        tmp_path / "published" / "mine" / "01_safety_amount-steps.csv"
    ).read_text() == "step,rows\nasked,9\nkept,3\n"
    for path in (tmp_path / "published").rglob("*.*"):
        assert path.is_dir() or SECRET not in path.read_text()
    with pytest.raises(SafetuneError, match="small letters"):
        findings.publish([copy], name="../up", folder=tmp_path)


def test_what_is_published_names_no_place_on_this_machine(copy: Path, tmp_path: Path) -> None:
    notebook = nbformat.read(copy, as_version=4)
    notebook.metadata.safetune.settings |= {
        "base_model": str(tmp_path / "my-model"),
        "data": "embedded",
        "safety_data": None,
    }
    nbformat.write(notebook, copy)
    settings = findings.outcome(copy)["settings"]
    assert (settings["base_model"], settings["data"], settings["safety_data"]) == (
        "my-model",
        "embedded",
        None,
    )
    assert str(tmp_path) not in findings.publish(
        [copy], name="mine", folder=tmp_path / "published"
    ).read_text("utf-8")
