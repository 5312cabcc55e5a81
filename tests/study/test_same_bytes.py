"""Two undisturbed runs of the smoke study write the same files: all bytes are equal, but for the times, the
memory and the machine in a record.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from safetune_utils.study.design import state
from safetune_utils.study.run import run

# What of a record may differ, and what of its facts.
TIMES = {"started", "seconds", "peak_memory_bytes", "written", "machine", "itself"}
SPEEDS = {"tokens_per_second"}


def told(path: Path) -> Any:
    """What a file of a store says that must not differ."""
    if path.name != "record.json":
        return path.read_bytes()
    record = json.loads(path.read_text("utf-8"))
    record["facts"] = {name: value for name, value in record["facts"].items() if name not in SPEEDS}
    return {name: value for name, value in record.items() if name not in TIMES}


@pytest.mark.slow
def test_two_runs_of_the_smoke_study_write_the_same_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for name in ("first", "second"):
        monkeypatch.setenv("SAFETUNE_STORE", str(tmp_path / name))
        run(state(prompt_sets=["malicious", "ordinary"], preset="smoke"))
        paths = [path for path in sorted((tmp_path / name).rglob("*")) if path.is_file()]
        found.append({str(path.relative_to(tmp_path / name)): told(path) for path in paths})
    first, second = found
    assert first.keys() == second.keys()
    assert sum(name.endswith("record.json") for name in first) >= 12
    assert [name for name in first if first[name] != second[name]] == []
