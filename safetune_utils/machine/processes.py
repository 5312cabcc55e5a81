"""Processes beside this one: several that train one adapter together, or several that each do a piece of work
apart.

Together, as ``accelerate launch`` starts them, each takes its share of every batch, and gradients are added
up, so the mathematics is that of one process. From a notebook they are processes of their own: a notebook's
kernel that sees several GPUs would otherwise use them in ways that nobody asked for.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

import psutil
import torch

from safetune_utils.errors import SafetuneError
from safetune_utils.machine.distributed import processes_wanted, whole_number

_Result = TypeVar("_Result")


def at_once(n_pieces: int, *, bytes_each: float) -> int:
    """How many pieces of work to do side by side: ``SAFETUNE_AT_ONCE``, else on a CPU as many as threads and
    free memory allow, and one on a GPU.

    On a CPU, two processes of one thread do about a third more than one process of two: what cannot be split
    between threads, such as Python itself, is split between the processes.

    Raises:
        SafetuneError: the variable is not a whole number from 1.
    """
    if "SAFETUNE_AT_ONCE" in os.environ:
        allowed = whole_number("SAFETUNE_AT_ONCE")
    elif torch.cuda.is_available() or processes_wanted() > 1:
        allowed = 1
    else:
        allowed = min(torch.get_num_threads(), int(psutil.virtual_memory().available / bytes_each))
    return max(1, min(n_pieces, allowed))


def share_of_threads(threads: int) -> float:
    """How many processes of so many threads this machine has room for, at least 1: their speeds add up to
    about its own.
    """
    return max(1.0, torch.get_num_threads() / threads)


def side_by_side(pieces: Sequence[tuple[Callable[..., Any], tuple[Any, ...]]], *, bytes_each: float) -> None:
    """Do pieces of work, each a function and its arguments, in fresh processes, :func:`at_once` so many,
    begun in their order.

    After a failure no further piece is begun; those under way are finished first, and the failure is raised.

    Args:
        bytes_each: about how much memory a piece takes.
    """
    n = at_once(len(pieces), bytes_each=bytes_each)
    threads = max(1, torch.get_num_threads() // n)
    with ThreadPoolExecutor(n) as pool:  # its threads only wait for their processes
        futures = [
            pool.submit(in_subprocess, work, *arguments, threads=threads) for work, arguments in pieces
        ]
        try:
            for future in futures:
                future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def in_subprocess(work: Callable[..., _Result], *arguments: Any, threads: int | None = None) -> _Result:
    """Do a piece of work in a fresh process and return what it returns; what it raises is raised here.

    A process that has trained an adapter has a torn heap: the next one in it was seen to train ever slower
    and to hold ever more memory. And one that is killed for want of memory does not take a notebook's kernel
    with it. The modules are imported once, by the server that the fresh processes are forked from.

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
            raise SafetuneError(
                "a process that trained or answered was killed, most likely for want of memory: set SAFETUNE_AT_ONCE to 1"
            ) from None


def _with(
    environment: dict[str, str], threads: int | None, work: Callable[..., _Result], arguments: tuple[Any, ...]
) -> _Result:
    os.environ.update(environment)  # the server's is as old as the server
    if threads:
        torch.set_num_threads(threads)
    return work(*arguments)
