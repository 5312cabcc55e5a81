"""Processes beside this one: several that train one adapter together, or one that does a piece of work apart.

Together, as ``accelerate launch`` starts them, each takes its share of every batch, and gradients are added up, so the
mathematics is that of one process. From a notebook they are processes of their own: a notebook's kernel that sees
several GPUs would otherwise use them in ways that nobody asked for.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, TypeVar

import torch
from accelerate import PartialState

from safetune_utils.errors import SafetuneError

_Row = TypeVar("_Row")
_Result = TypeVar("_Result")


def rank() -> int:
    """Number of this process among those that train together, from 0."""
    return int(os.environ.get("RANK", "0"))


def world() -> int:
    """How many processes train together; 1 where nobody started more."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def wanted() -> int:
    """How many processes are to train an adapter: ``SAFETUNE_PROCESSES``, else one for each GPU in sight, else one.

    Raises:
        SafetuneError: the variable is not a whole number from 1.
    """
    given = os.environ.get("SAFETUNE_PROCESSES")
    if given is None:
        return max(1, torch.cuda.device_count())
    if not given.isdecimal() or int(given) < 1:
        raise SafetuneError(f"SAFETUNE_PROCESSES is '{given}': give a whole number from 1, or unset it")
    return int(given)


def device_index() -> int:
    """The GPU of this process, from 0."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def share(rows: list[_Row]) -> list[_Row]:
    """The rows of a batch that are this process's to compute."""
    return rows[rank() :: world()]


def add_up(tensors: Iterable[torch.Tensor]) -> None:
    """Replace tensors by their sums over all processes; alone it does nothing."""
    if world() == 1:
        return
    _join()
    kept = list(tensors)
    flat = torch.cat([tensor.flatten().float() for tensor in kept])
    torch.distributed.all_reduce(flat)
    for tensor, summed in zip(kept, flat.split([tensor.numel() for tensor in kept]), strict=True):
        tensor.copy_(summed.view_as(tensor))


def gather(value: Any) -> list[Any]:
    """The values of all processes, in their order."""
    if world() == 1:
        return [value]
    _join()
    values: list[Any] = [None] * world()
    torch.distributed.all_gather_object(values, value)
    return values


def _join() -> None:
    PartialState(cpu=not torch.cuda.is_available())  # finds the others once, and is the same object ever after


def launch(*command: str, processes: int) -> dict[str, Any]:
    """Run a ``safetune`` command in several processes and return the facts that it writes to the file it is given last.

    Raises:
        SafetuneError: it failed; its own line stands above on standard error.
    """
    with tempfile.TemporaryDirectory() as folder:
        facts = Path(folder) / "facts.json"
        start = ["--num_processes", str(processes), "--num_machines", "1", "--main_process_port", "0", "--mixed_precision", "no", "--dynamo_backend", "no"]
        # --multi_gpu is accelerate's way to ask for torch's launcher, which serves CPUs as well.
        words = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", *start, "-m", "safetune_utils", *command, str(facts)]
        threads = str(max(1, (os.cpu_count() or 1) // processes))
        done = subprocess.run(words, env=os.environ | {"OMP_NUM_THREADS": threads}, stdout=subprocess.DEVNULL, check=False)
        if done.returncode or not facts.is_file():
            raise SafetuneError(f"training in {processes} processes failed (see the lines above): set SAFETUNE_PROCESSES to 1 to train in this one")
        return json.loads(facts.read_text("utf-8"))


def apart(work: Callable[..., _Result], *arguments: Any) -> _Result:
    """Do a piece of work in a fresh process and return what it returns; what it raises is raised here.

    A process that has trained an adapter has a torn heap: the next one in it was seen to train ever slower and to hold
    ever more memory. And one that is killed for want of memory does not take a notebook's kernel with it. The modules
    are imported once, by the server that the fresh processes are forked from.

    Raises:
        SafetuneError: the process was killed.
    """
    kind = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    context = multiprocessing.get_context(kind)
    context.set_forkserver_preload([work.__module__])
    with ProcessPoolExecutor(1, mp_context=context) as process:
        try:
            return process.submit(_in_environment, dict(os.environ), work, arguments).result()
        except BrokenProcessPool:
            raise SafetuneError("the process that trained and answered was killed, most likely for want of memory: use a smaller model or batch") from None


def _in_environment(environment: dict[str, str], work: Callable[..., _Result], arguments: tuple[Any, ...]) -> _Result:
    os.environ.update(environment)  # the server's is as old as the server
    return work(*arguments)
