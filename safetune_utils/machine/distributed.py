"""Processes that train one adapter together: rank, world size, all-reduce, and how they are started.

As ``accelerate launch`` starts them, each process computes its shard of every batch, and gradients are summed
over all processes (all-reduce), so the result is that of one process up to rounding. A notebook starts them
as subprocesses: a kernel that sees several GPUs would otherwise use them in ways that nobody asked for.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from safetune_utils.errors import SafetuneError
from safetune_utils.machine.device import n_gpus

if TYPE_CHECKING:
    import torch

_Value = TypeVar("_Value")
# accelerate's own variable: its processes talk over the CPU also where there are GPUs.
_USE_CPU = "ACCELERATE_USE_CPU"


def rank() -> int:
    """The rank of this process: its number among those that train together, from 0."""
    return int(os.environ.get("RANK", "0"))


def world_size() -> int:
    """How many processes train together; 1 where nobody started more."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def processes_wanted(device: str = "cuda") -> int:
    """How many processes are to train an adapter, 1 or more.

    It is the environment variable ``SAFETUNE_PROCESSES``, else one for each visible GPU, else 1. On the CPU
    (``device`` is ``cpu``) GPUs do not count.

    Raises:
        SafetuneError: the variable is not a whole number from 1.
    """
    return (
        whole_number("SAFETUNE_PROCESSES")
        if "SAFETUNE_PROCESSES" in os.environ
        else max(1, n_gpus() if device != "cpu" else 1)
    )


def device_index() -> int:
    """The index of the GPU that this process uses, from 0."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def shard(rows: list[_Value]) -> list[_Value]:
    """The rows of a batch that this process computes: every ``world_size``-th, from its rank on."""
    return rows[rank() :: world_size()]


def all_reduce(tensors: Iterable[torch.Tensor]) -> None:
    """Replace tensors, in place, by their sums over all processes; one process alone changes nothing.

    Args:
        tensors: of any shapes, the same in every process and in the same order. They are summed in fp32.
    """
    if world_size() == 1:
        return
    import torch

    _join()
    kept = list(tensors)
    flat = torch.cat([tensor.flatten().float() for tensor in kept])
    torch.distributed.all_reduce(flat)
    for tensor, summed in zip(kept, flat.split([tensor.numel() for tensor in kept]), strict=True):
        tensor.copy_(summed.view_as(tensor))


def gather(value: _Value) -> list[_Value]:
    """The values of all processes, in the order of their ranks; every process gets them all."""
    if world_size() == 1:
        return [value]
    import torch

    _join()
    values: list[Any] = [None] * world_size()
    torch.distributed.all_gather_object(values, value)
    return values


def _join() -> None:
    """Connect to the other processes; only the first call does anything."""
    from accelerate import PartialState

    PartialState(cpu=not n_gpus() or os.environ.get(_USE_CPU) == "true")


def launch(*command: str, processes: int, device: str = "auto") -> dict[str, Any]:
    """Run a ``safetune`` command in several processes and return the facts that it writes.

    Args:
        command: the words of the command, without ``safetune``. The path of a JSON file is added as the last
            word; the command writes its facts there.
        processes: how many (the world size).
        device: ``cpu`` where they are to leave the GPUs alone.

    Raises:
        SafetuneError: the command failed; its own error message is already on standard error.
    """
    options = {
        "--num_processes": str(processes),
        "--num_machines": "1",
        "--main_process_port": "0",
        "--mixed_precision": "no",
        "--dynamo_backend": "no",
    }
    # --multi_gpu is accelerate's way to ask for torch's launcher, which works for CPUs as well.
    launcher = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu"]
    launcher += [word for option in options.items() for word in option]
    with tempfile.TemporaryDirectory() as folder:
        facts = Path(folder) / "facts.json"
        words = [*launcher, "-m", "safetune_utils", *command, str(facts)]
        threads = str(max(1, (os.cpu_count() or 1) // processes))
        environment = os.environ | {"OMP_NUM_THREADS": threads}
        environment |= {_USE_CPU: "true"} if device == "cpu" else {}
        done = subprocess.run(words, env=environment, stdout=subprocess.DEVNULL, check=False)
        if done.returncode or not facts.is_file():
            raise SafetuneError(
                f"training in {processes} processes failed (see the lines above): set SAFETUNE_PROCESSES to 1"
                " to train in this one"
            )
        return json.loads(facts.read_text("utf-8"))


def whole_number(variable: str) -> int:
    """The value of an environment variable that is set, as a whole number from 1.

    Raises:
        SafetuneError: it is not one.
    """
    given = os.environ[variable]
    if not given.isdecimal() or int(given) < 1:
        raise SafetuneError(f"{variable} is '{given}': give a whole number from 1, or unset it")
    return int(given)
