"""The command line as a person uses it: a real process."""

from __future__ import annotations

import subprocess
import sys


def safetune(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "safetune_utils", *arguments], capture_output=True, text=True, timeout=600
    )
