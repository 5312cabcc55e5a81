"""Two undisturbed runs of the smoke study write the same files: all bytes are equal, but for the times, the
memory and the machine in a record.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from damage import content_of

from safetune_utils.study.design import state
from safetune_utils.study.run import run


@pytest.mark.slow
def test_two_runs_of_the_smoke_study_write_the_same_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for name in ("first", "second"):
        monkeypatch.setenv("SAFETUNE_STORE", str(tmp_path / name))
        run(state(prompt_sets=["malicious", "ordinary"], preset="smoke"))
        found.append(content_of(tmp_path / name))
    first, second = found
    assert first.keys() == second.keys()
    assert sum(name.endswith("record.json") for name in first) >= 12
    assert [name for name in first if first[name] != second[name]] == []
