"""Processes that train one adapter together: rank, world size, all-reduce, and how they are started.

As ``accelerate launch`` starts them, each takes its share of every batch, and gradients are summed over all
processes, so the mathematics is that of one process. From a notebook they are processes of their own: a
notebook's kernel that sees several GPUs would otherwise use them in ways that nobody asked for.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import torch
from accelerate import PartialState

from safetune_utils.errors import SafetuneError

_Row = TypeVar("_Row")


def rank() -> int:
    """Number of this process among those that train together, from 0."""
    return int(os.environ.get("RANK", "0"))


def world_size() -> int:
    """How many processes train together; 1 where nobody started more."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def processes_wanted() -> int:
    """How many processes are to train an adapter: ``SAFETUNE_PROCESSES``, else one for each GPU in sight,
    else one.

    Raises:
        SafetuneError: the variable is not a whole number from 1.
    """
    return (
        whole_number("SAFETUNE_PROCESSES")
        if "SAFETUNE_PROCESSES" in os.environ
        else max(1, torch.cuda.device_count())
    )


def device_index() -> int:
    """The GPU of this process, from 0."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def shard(rows: list[_Row]) -> list[_Row]:
    """The rows of a batch that are this process's to compute."""
    return rows[rank() :: world_size()]


def all_reduce(tensors: Iterable[torch.Tensor]) -> None:
    """Replace tensors by their sums over all processes; alone it does nothing."""
    if world_size() == 1:
        return
    _join()
    kept = list(tensors)
    flat = torch.cat([tensor.flatten().float() for tensor in kept])
    torch.distributed.all_reduce(flat)
    for tensor, summed in zip(kept, flat.split([tensor.numel() for tensor in kept]), strict=True):
        tensor.copy_(summed.view_as(tensor))


def gather(value: Any) -> list[Any]:
    """The values of all processes, in their order."""
    if world_size() == 1:
        return [value]
    _join()
    values: list[Any] = [None] * world_size()
    torch.distributed.all_gather_object(values, value)
    return values


def _join() -> None:
    PartialState(
        cpu=not torch.cuda.is_available()
    )  # finds the others once, and is the same object ever after


def launch(*command: str, processes: int) -> dict[str, Any]:
    """Run a ``safetune`` command in several processes and return the facts that it writes to the file it is
    given last.

    Raises:
        SafetuneError: it failed; its own line stands above on standard error.
    """
    with tempfile.TemporaryDirectory() as folder:
        facts = Path(folder) / "facts.json"
        start = [
            "--num_processes",
            str(processes),
            "--num_machines",
            "1",
            "--main_process_port",
            "0",
            "--mixed_precision",
            "no",
            "--dynamo_backend",
            "no",
        ]
        # --multi_gpu is accelerate's way to ask for torch's launcher, which serves CPUs as well.
        words = [
            sys.executable,
            "-m",
            "accelerate.commands.launch",
            "--multi_gpu",
            *start,
            "-m",
            "safetune_utils",
            *command,
            str(facts),
        ]
        threads = str(max(1, (os.cpu_count() or 1) // processes))
        done = subprocess.run(
            words, env=os.environ | {"OMP_NUM_THREADS": threads}, stdout=subprocess.DEVNULL, check=False
        )
        if done.returncode or not facts.is_file():
            raise SafetuneError(
                f"training in {processes} processes failed (see the lines above): set SAFETUNE_PROCESSES to 1 to train in this one"
            )
        return json.loads(facts.read_text("utf-8"))


def whole_number(variable: str) -> int:
    given = os.environ[variable]
    if not given.isdecimal() or int(given) < 1:
        raise SafetuneError(f"{variable} is '{given}': give a whole number from 1, or unset it")
    return int(given)
