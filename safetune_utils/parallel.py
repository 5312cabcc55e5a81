"""Processes beside this one: several that train one adapter together, or several that each do a piece of work apart.

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
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, TypeVar

import psutil
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
    return _whole_number("SAFETUNE_PROCESSES") if "SAFETUNE_PROCESSES" in os.environ else max(1, torch.cuda.device_count())


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


def at_once(n_pieces: int, *, bytes_each: float) -> int:
    """How many pieces of work to do side by side: ``SAFETUNE_AT_ONCE``, else on a CPU as many as threads and free memory allow, and one on a GPU.

    On a CPU, two processes of one thread do about a third more than one process of two: what cannot be split between
    threads, such as Python itself, is split between the processes.

    Raises:
        SafetuneError: the variable is not a whole number from 1.
    """
    if "SAFETUNE_AT_ONCE" in os.environ:
        allowed = _whole_number("SAFETUNE_AT_ONCE")
    elif torch.cuda.is_available() or wanted() > 1:
        allowed = 1
    else:
        allowed = min(torch.get_num_threads(), int(psutil.virtual_memory().available / bytes_each))
    return max(1, min(n_pieces, allowed))


def share_of_threads(threads: int) -> float:
    """How many processes of so many threads this machine has room for, at least 1: their speeds add up to about its own."""
    return max(1.0, torch.get_num_threads() / threads)


def side_by_side(pieces: Sequence[tuple[Callable[[Any], Any], Any]], *, bytes_each: float) -> None:
    """Do pieces of work, each a function and its argument, in fresh processes, :func:`at_once` so many, begun in their order.

    After a failure no further piece is begun; those under way are finished first, and the failure is raised.

    Args:
        bytes_each: about how much memory a piece takes.
    """
    n = at_once(len(pieces), bytes_each=bytes_each)
    threads = max(1, torch.get_num_threads() // n)
    with ThreadPoolExecutor(n) as pool:  # its threads only wait for their processes
        futures = [pool.submit(apart, work, argument, threads=threads) for work, argument in pieces]
        try:
            for future in futures:
                future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def apart(work: Callable[..., _Result], *arguments: Any, threads: int | None = None) -> _Result:
    """Do a piece of work in a fresh process and return what it returns; what it raises is raised here.

    A process that has trained an adapter has a torn heap: the next one in it was seen to train ever slower and to hold
    ever more memory. And one that is killed for want of memory does not take a notebook's kernel with it. The modules
    are imported once, by the server that the fresh processes are forked from.

    Args:
        threads: of the process; ``None`` leaves PyTorch's number.

    Raises:
        SafetuneError: the process was killed.
    """
    kind = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    context = multiprocessing.get_context(kind)
    context.set_forkserver_preload([work.__module__])
    with ProcessPoolExecutor(1, mp_context=context) as process:
        try:
            return process.submit(_with, dict(os.environ), threads, work, arguments).result()
        except BrokenProcessPool:
            raise SafetuneError("a process that trained or answered was killed, most likely for want of memory: set SAFETUNE_AT_ONCE to 1") from None


def _with(environment: dict[str, str], threads: int | None, work: Callable[..., _Result], arguments: tuple[Any, ...]) -> _Result:
    os.environ.update(environment)  # the server's is as old as the server
    if threads:
        torch.set_num_threads(threads)
    return work(*arguments)


def _whole_number(variable: str) -> int:
    given = os.environ[variable]
    if not given.isdecimal() or int(given) < 1:
        raise SafetuneError(f"{variable} is '{given}': give a whole number from 1, or unset it")
    return int(given)
