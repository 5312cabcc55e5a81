"""Versions, commit and machine, for the record of a stage."""

from __future__ import annotations

import contextlib
import importlib.metadata
import platform
import subprocess
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from typing_extensions import TypedDict  # of this kind pydantic checks the form

from safetune_utils.machine.device import n_gpus, n_threads
from safetune_utils.places import clone

_PACKAGES = (
    "safetune-utils",
    "torch",
    "transformers",
    "peft",
    "tokenizers",
    "datasets",
    "accelerate",
    "bitsandbytes",
    "numpy",
)


class Machine(TypedDict):
    """A machine: system, processor, the number of CPU threads that PyTorch uses, first GPU or ``none``."""

    system: str
    processor: str
    threads: int
    accelerator: str


class Surroundings(TypedDict):
    """Where a stage ran: versions of packages by name, the commit of this code, and the machine."""

    versions: dict[str, str]
    code: str
    machine: Machine


@cache
def surroundings() -> Surroundings:
    """Versions, commit and machine: what may matter for a result but is no part of a stage's key.

    They are read once a process.
    """
    versions = {}
    for name in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return {
        "versions": versions | {"python": platform.python_version()},
        "code": _git_commit(),
        "machine": {
            "system": f"{platform.system()} {platform.machine()}",
            "processor": processor_name(),
            "threads": n_threads(),
            "accelerator": _gpu_name() if n_gpus() else "none",
        },
    }


def _gpu_name() -> str:
    import torch

    return torch.cuda.get_device_name(0)


def _git_commit() -> str:
    """The commit of the checkout, with ``+changes`` where the tree is not clean; ``unknown`` outside a
    checkout, also where the package was installed into another project's.
    """
    if clone() is None:
        return "unknown"
    command = [
        "git",
        "-C",
        str(Path(__file__).resolve().parent),
        "describe",
        "--always",
        "--abbrev=12",
        "--dirty=+changes",
        "--exclude=*",
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.strip()


def processor_name() -> str:
    """What the system calls this machine's processor; ``unknown`` where it does not say."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown"


def now() -> str:
    """The time, in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
