"""The example of the re-run page, run as a plain script."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from safetune_utils import store
from safetune_utils.places import data_folder


@pytest.mark.slow
def test_the_example_runs_as_a_plain_script_with_several_processes_and_no_guard(tmp_path: Path) -> None:
    page = (data_folder().parent / "book" / "rerun.md").read_text("utf-8")
    (example,) = re.findall(r"## From a script\n\n```python\n(.*?)```", page, re.DOTALL)
    assert "__main__" not in example
    script = tmp_path / "script.py"
    script.write_text(f"print('started')\n{example}", "utf-8")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("started") == 1
    assert "minutes_left" in done.stdout
    made = store.list_records()
    assert (made["stage"] == "adapters").sum() == 4
    assert len(list(tmp_path.glob("*.py"))) == 1
