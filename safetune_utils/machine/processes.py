"""Subprocesses that each do one piece of work, and how many of them run at the same time.

Processes that train one adapter together are in :mod:`safetune_utils.machine.distributed`.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any, TypeVar

import psutil
from tqdm import tqdm

from safetune_utils.errors import SafetuneError
from safetune_utils.machine.device import n_gpus, n_threads
from safetune_utils.machine.distributed import processes_wanted, whole_number
from safetune_utils.terminal import plain

_Result = TypeVar("_Result")
# Libraries that nearly every piece of work with a model needs, and that take seconds to import.
_PRELOADED = ("peft", "transformers.modeling_utils", "transformers.models.auto.modeling_auto")
_BAR = "{desc}: {percentage:3.0f}% |{bar}| {elapsed}, about {remaining} left{postfix}"


@dataclass(frozen=True, eq=False)
class Piece:
    """A piece of work for :func:`side_by_side`.

    Attributes:
        work, arguments: a function of a module, and what it is called with.
        minutes: how long it takes by a forecast, or its share of the time of all.
        after: another piece that has to be done before this one.
    """

    work: Callable[..., Any]
    arguments: tuple[Any, ...] = ()
    minutes: float = 1.0
    after: Piece | None = None


def at_once(n_pieces: int, *, bytes_each: float, device: str = "auto") -> int:
    """How many pieces of work to do at the same time, from 1 to ``n_pieces``.

    It is the environment variable ``SAFETUNE_AT_ONCE``, else on a CPU as many as its threads and the free
    memory allow, and 1 on a GPU. On a CPU, two processes of one thread do about a third more work than one
    process of two threads, because they also share out what threads cannot, such as Python itself.

    Args:
        n_pieces: how many pieces there are.
        bytes_each: about how much memory a piece takes.
        device: what the pieces compute on: ``cpu``, ``cuda``, or ``auto``, a GPU where there is one.

    Raises:
        SafetuneError: the variable is not a whole number from 1.
    """
    if "SAFETUNE_AT_ONCE" in os.environ:
        allowed = whole_number("SAFETUNE_AT_ONCE")
    elif (device != "cpu" and n_gpus()) or processes_wanted(device) > 1:
        allowed = 1
    else:
        allowed = min(n_threads(), int(psutil.virtual_memory().available / bytes_each))
    return max(1, min(n_pieces, allowed))


def share_of_threads(threads: int) -> float:
    """How many processes with this many threads PyTorch's threads are enough for, at least 1.

    So many processes together work about as fast as this machine can.
    """
    return max(1.0, n_threads() / threads)


def side_by_side(
    pieces: Sequence[Piece],
    *,
    bytes_each: float,
    device: str = "auto",
    progress: str = "",
    loads_models: bool = True,
) -> None:
    """Do pieces of work in fresh subprocesses, as many at the same time as :func:`at_once` says.

    Of those that can start, the one starts first from whose start to the end of all that waits for it is the
    longest by the forecast; so no process is left with a long one at the end. After a failure no further
    piece starts; the running ones are finished first, and then the failure is raised.

    Args:
        pieces: what there is to do; one that waits for another stands with it in the list.
        bytes_each, device: as for :func:`at_once`.
        progress: a caption for one progress bar of all pieces, in the place of those that they would show
            themselves; empty for none. Its word on the time left goes by the pieces' minutes, put right by
            what the finished ones took.
        loads_models: as for :func:`in_subprocess`.

    Raises:
        SafetuneError: a subprocess was killed. What a piece of work raises is raised too.
    """
    n = at_once(len(pieces), bytes_each=bytes_each, device=device)
    waiting = sorted(pieces, key=lambda piece: _minutes_to_the_end(piece, pieces), reverse=True)
    running: dict[Future[Any], Piece] = {}
    threads = max(1, n_threads() // n) if loads_models else None
    total = sum(piece.minutes for piece in pieces)
    bar = tqdm(total=total, desc=plain(progress), disable=not progress, bar_format=_BAR, mininterval=0)
    bar.set_postfix_str(f"{total:.0f} min by the forecast")
    with bar, ThreadPoolExecutor(n) as pool:  # its threads only wait for their processes
        while waiting or running:
            held_up = {*waiting, *running.values()}
            for piece in [one for one in waiting if one.after not in held_up][: n - len(running)]:
                waiting.remove(piece)
                future = pool.submit(
                    in_subprocess,
                    piece.work,
                    *piece.arguments,
                    threads=threads,
                    quiet=bool(progress),
                    loads_models=loads_models,
                )
                running[future] = piece
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                piece = running.pop(future)
                future.result()
                done = len(pieces) - len(waiting) - len(running)
                bar.set_postfix_str(f"{done} of {len(pieces)} pieces", refresh=False)
                bar.update(piece.minutes)


def _minutes_to_the_end(piece: Piece, pieces: Sequence[Piece]) -> float:
    """By the forecast, from a piece's start to the end of the last that waits for it."""
    after = [_minutes_to_the_end(one, pieces) for one in pieces if one.after is piece]
    return piece.minutes + max(after, default=0)


def in_subprocess(
    work: Callable[..., _Result],
    *arguments: Any,
    threads: int | None = None,
    quiet: bool = False,
    loads_models: bool = True,
) -> _Result:
    """Do a piece of work in a fresh subprocess and return what it returns; what it raises is raised here.

    The memory of a process that has trained an adapter is fragmented: the next adapter in the same process
    was seen to train more slowly and to hold more memory. And a subprocess that is killed because memory ran
    out does not end a notebook's kernel. The modules are imported once, by the server process that fresh
    subprocesses are forked from.

    Args:
        work: a function of a module, since it is sent to the subprocess by its name.
        arguments: for it; they are pickled.
        threads: CPU threads of the subprocess; ``None`` leaves PyTorch's number.
        quiet: whether it shows no progress bars of its own.
        loads_models: whether the server imports what loads models, where it does not run yet.

    Raises:
        SafetuneError: the subprocess was killed.
    """
    kind = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    context = multiprocessing.get_context(kind)
    context.set_forkserver_preload([work.__module__, *(_PRELOADED if loads_models else ())])
    with ProcessPoolExecutor(1, mp_context=context) as process:
        try:
            return process.submit(_with, dict(os.environ), threads, quiet, work, arguments).result()
        except BrokenProcessPool:
            raise SafetuneError(
                "a process that trained or answered was killed, most likely for want of memory: set "
                "SAFETUNE_AT_ONCE to 1, or lower micro_batch_tokens in recipe and batch_size in decoding"
            ) from None


def _with(
    environment: dict[str, str],
    threads: int | None,
    quiet: bool,
    work: Callable[..., _Result],
    arguments: tuple[Any, ...],
) -> _Result:
    # The environment of the server process is that of the time when it started.
    os.environ.update(environment)
    if quiet:
        shown = tqdm.__init__
        tqdm.__init__ = lambda bar, *given, **more: shown(bar, *given, **more | {"disable": True})  # type: ignore
    if threads:
        import torch

        torch.set_num_threads(threads)
    return work(*arguments)
