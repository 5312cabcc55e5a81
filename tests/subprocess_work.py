"""What the tests of subprocesses let them do; a subprocess finds these functions by this module's name."""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from safetune_utils.errors import SafetuneError
from safetune_utils.machine import distributed, stopping


def fail() -> None:
    raise SafetuneError("no row has an answer")


def asked_to_stop_at_its_end() -> int:
    """Have this process asked to stop while it ends, when what was registered is called."""
    atexit.register(os.kill, os.getpid(), signal.SIGTERM)
    return os.getpid()


def touch(path: Path) -> None:
    path.touch()


def note(name: str, path: Path) -> None:
    """Add a line to a file."""
    with path.open("a") as file:
        file.write(f"{name}\n")


def heavy() -> list[str]:
    """Those of the libraries that load models which this process has imported."""
    return [name for name in ("torch", "transformers", "peft") if name in sys.modules]


known_to_forks = ""


def what_is_known() -> str:
    """What the process that this one is a fork of put into ``known_to_forks``."""
    return known_to_forks


def meet(path: Path) -> None:
    """Wait until the other of the two pieces ``a`` and ``b`` was begun, too."""
    path.touch()
    other = path.with_name("b" if path.name == "a" else "a")
    for _ in range(1200):
        if other.exists():
            return
        time.sleep(0.05)
    raise AssertionError("the other piece was not begun")


def linger(path: Path) -> None:
    """Start a process that takes ten minutes, and take as long."""
    subprocess.Popen(stopping.python("import time; time.sleep(600)"))
    path.touch()
    time.sleep(600)


def killed(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def sums_and_doors() -> list[tuple[float, list[str]]]:
    """Of each process that trains with this one: a sum over all of them, and the addresses it listens on."""
    import torch

    total = torch.tensor(distributed.rank() + 1.0)
    distributed.all_reduce([total])
    doors = [one.laddr.ip for one in psutil.Process().net_connections("inet") if one.status == "LISTEN"]
    return distributed.gather((total.item(), doors))


def one_fails(fails: Callable[[], None]) -> None:
    """Let the second process fail while the others wait for it."""
    if distributed.rank() == 1:
        fails()
    distributed.gather("here")
