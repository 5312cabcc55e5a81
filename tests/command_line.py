"""The command line as a person uses it: a real process; or in this one, which is quicker."""

from __future__ import annotations

import subprocess
import sys

import pytest

from safetune_utils.cli import main


def safetune(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "safetune_utils", *arguments], capture_output=True, text=True, timeout=600
    )


def in_this_process(*arguments: str) -> int:
    """The exit status of a command; what it says is this process's to capture."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["safetune", *arguments])
        with pytest.raises(SystemExit) as ended:
            main.main()
    return int(ended.value.code or 0)
