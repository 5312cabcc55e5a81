"""What the tests of subprocesses let them do; a subprocess finds these functions by this module's name."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from safetune_utils.errors import SafetuneError


def fail() -> None:
    raise SafetuneError("no row has an answer")


def touch(path: Path) -> None:
    path.touch()


def note(name: str, path: Path) -> None:
    """Add a line to a file."""
    with path.open("a") as file:
        file.write(f"{name}\n")


def heavy() -> list[str]:
    """Those of the libraries that load models which this process has imported."""
    return [name for name in ("torch", "transformers", "peft") if name in sys.modules]


def meet(path: Path) -> None:
    """Wait until the other of the two pieces ``a`` and ``b`` was begun, too."""
    path.touch()
    other = path.with_name("b" if path.name == "a" else "a")
    for _ in range(1200):
        if other.exists():
            return
        time.sleep(0.05)
    raise AssertionError("the other piece was not begun")
