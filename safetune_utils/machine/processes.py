"""Subprocesses: how many of them run at the same time, and what they do, each a piece of work or all one
adapter together. None of them is left when the call that started it ends, or when this process does.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import sys
import tempfile
import threading
import traceback
import types
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, TypeVar

import psutil
from tqdm import tqdm

from safetune_utils.errors import SafetuneError
from safetune_utils.machine import distributed, stopping
from safetune_utils.machine.device import n_gpus, n_threads
from safetune_utils.terminal import plain, shows

_Result = TypeVar("_Result")
_FIRST = "safetune_utils.machine.server_process"  # not imported here: it is for the server
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
        allowed = distributed.whole_number("SAFETUNE_AT_ONCE")
    elif (device != "cpu" and n_gpus()) or distributed.processes_wanted(device) > 1:
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
    running: dict[_Worker, Piece] = {}
    failure: Exception | None = None
    threads = max(1, n_threads() // n) if loads_models else None
    total = sum(piece.minutes for piece in pieces)
    bar = tqdm(total=total, desc=plain(progress), disable=not shows(progress), bar_format=_BAR, mininterval=0)
    bar.set_postfix_str(f"{total:.0f} min by the forecast")
    with bar, stopping.none_left():
        while running or (waiting and not failure):
            held_up = {*waiting, *running.values()}
            ready = [one for one in waiting if one.after not in held_up and not failure]
            for piece in ready[: n - len(running)]:
                waiting.remove(piece)
                worker = _start(
                    piece.work,
                    piece.arguments,
                    threads=threads,
                    quiet=bool(progress),
                    loads_models=loads_models,
                )
                running[worker] = piece
            for worker in _ready(running):
                piece = running.pop(worker)
                try:
                    worker.result()
                except Exception as error:
                    failure = failure or error
                    continue
                done = len(pieces) - len(waiting) - len(running)
                bar.set_postfix_str(f"{done} of {len(pieces)} pieces", refresh=False)
                bar.update(piece.minutes)
    if failure:
        raise failure


def _minutes_to_the_end(piece: Piece, pieces: Sequence[Piece]) -> float:
    """By the forecast, from a piece's start to the end of the last that waits for it."""
    after = [_minutes_to_the_end(one, pieces) for one in pieces if one.after is piece]
    return piece.minutes + max(after, default=0)


def together(work: Callable[..., _Result], *arguments: Any, processes: int, device: str = "auto") -> _Result:
    """Do a piece of work in several subprocesses that train one adapter together, see
    :mod:`safetune_utils.machine.distributed`, and return what the first of them returns.

    Args:
        work, arguments: as for :func:`in_subprocess`.
        processes: how many (the world size).
        device: ``cpu`` where they are to leave the GPUs alone.

    Raises:
        SafetuneError: one of them was killed. What the work raises in one of them is raised too.
    """
    threads = max(1, (os.cpu_count() or 1) // processes)
    with tempfile.TemporaryDirectory() as folder, stopping.none_left():
        meeting = Path(folder) / "meeting"
        workers = [
            _start(
                work,
                arguments,
                threads=threads,
                environment=distributed.environment(
                    rank, processes, meeting=meeting, threads=threads, device=device
                ),
            )
            for rank in range(processes)
        ]
        results: dict[_Worker, _Result] = {}
        failures: list[Exception] = []
        waiting = set(workers)
        # Where one is gone the others fail, too, or wait for ever; what is told is why the one is gone.
        while waiting and (ready := _ready(waiting, seconds=2 if failures else None)):
            waiting -= set(ready)
            for worker in ready:
                try:
                    results[worker] = worker.result()
                except Exception as error:
                    failures.append(error)
        if failures:
            raise next((one for one in failures if isinstance(one, SafetuneError)), failures[0])
        return results[workers[0]]


def in_subprocess(
    work: Callable[..., _Result],
    *arguments: Any,
    threads: int | None = None,
    loads_models: bool = True,
    by_server: bool = True,
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
        loads_models: whether the server imports what loads models, where it does not run yet.
        by_server: whether the server forks it. Else this process does where that is safe, which is sooner
            than the server can be up, and elsewhere it is an interpreter of its own.

    Raises:
        SafetuneError: the subprocess was killed.
    """
    with stopping.none_left():
        return _start(
            work, arguments, threads=threads, loads_models=loads_models, by_server=by_server
        ).result()


@dataclass(frozen=True, eq=False)
class _Worker:
    """A subprocess, and where its answer comes."""

    process: BaseProcess
    answer: Connection

    def result(self) -> Any:
        """What its work returned; what it raised is raised."""
        try:
            result, error = self.answer.recv()
        except (EOFError, OSError):  # nothing came, or only a part
            error = SafetuneError(
                "a subprocess was killed, most likely for want of memory: close other programs, set "
                "SAFETUNE_AT_ONCE or SAFETUNE_PROCESSES to 1, or lower micro_batch_tokens in recipe and "
                "batch_size in decoding"
            )
        self.answer.close()
        self.process.join()
        if error:
            raise error
        return result


def _ready(workers: Collection[_Worker], seconds: float | None = None) -> list[_Worker]:
    """Those that have answered or ended; waits for the first, or so long."""
    ready = wait([worker.answer for worker in workers], seconds)
    return [worker for worker in workers if worker.answer in ready]


def _start(
    work: Callable[..., Any],
    arguments: tuple[Any, ...],
    *,
    threads: int | None,
    environment: Mapping[str, str] | None = None,
    quiet: bool = False,
    loads_models: bool = True,
    by_server: bool = True,
) -> _Worker:
    by_server = by_server and "forkserver" in multiprocessing.get_all_start_methods()  # Windows has none
    itself = "fork" if _can_fork() else "spawn"
    context: Any = multiprocessing.get_context("forkserver" if by_server else itself)
    context.set_forkserver_preload([_FIRST, work.__module__, *(_PRELOADED if loads_models else ())])
    # The environment of the server process is that of the time when it started.
    of_now = os.environ | (environment or {})
    answer, its_end = context.Pipe(duplex=False)
    process = context.Process(target=_do, args=(its_end, of_now, threads, quiet, work, arguments))
    try:
        with its_end:
            if by_server:
                _bring_up_server(context)
            with stopping.signals_held_back(), _without_script():
                process.start()
    except OSError as error:
        if "AF_UNIX" not in str(error):
            raise
        raise SafetuneError(
            f"the name of the folder for temporary files, {tempfile.gettempdir()}, is too long for a "
            "socket in it: set TMPDIR to a shorter one"
        ) from None
    return _Worker(process, answer)


def _can_fork() -> bool:
    """Whether a fork of this process can work: it would lack the other threads, and wait for ever for what
    one of them held. macOS forks, but its own libraries do not bear it.
    """
    return sys.platform == "linux" and threading.active_count() == 1 and "torch" not in sys.modules


_server_is_up = False


def _bring_up_server(context: Any) -> None:
    """Start the server that subprocesses are forked from, and wait until it has imported what it is to
    import, which takes seconds: signals are not held back meanwhile, so that Ctrl-C ends the wait.
    """
    global _server_is_up
    if _server_is_up:
        return
    with _without_script():
        with stopping.signals_held_back():
            os.environ[stopping.STARTED_BY] = str(os.getpid())
            try:
                forkserver.ensure_running()
            finally:
                del os.environ[stopping.STARTED_BY]
        # It answers when it is done with its imports.
        first = context.Process(target=_nothing)
        first.start()
    first.join()
    _server_is_up = True


def _nothing() -> None:
    """What the server's first subprocess does."""


@contextlib.contextmanager
def _without_script() -> Iterator[None]:
    """Let a subprocess not run the user's script, which Python would do to know what stands in it.

    All that it is sent is of modules. So a plain script that runs a study needs no guard against running
    itself again in each subprocess.
    """
    script = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = script


def _do(
    answer: Connection,
    environment: dict[str, str],
    threads: int | None,
    quiet: bool,
    work: Callable[..., Any],
    arguments: tuple[Any, ...],
) -> None:
    """What a subprocess does."""
    try:
        stopping.end_with_parent()
        stopping.stop_on_signals(stopping.OF_OTHERS)  # which may be asked for by now
        os.environ.update(environment)
        answer.send(_answered(threads, quiet, work, arguments))
    except KeyboardInterrupt:
        sys.exit(128 + (stopping.asked() or signal.SIGINT))
    finally:
        stopping.stop_no_longer()


def _answered(
    threads: int | None, quiet: bool, work: Callable[..., Any], arguments: tuple[Any, ...]
) -> tuple[Any, BaseException | None]:
    """What some work returns, or the error that it raises."""
    if quiet:
        shown = tqdm.__init__
        tqdm.__init__ = lambda bar, *given, **more: shown(bar, *given, **more | {"disable": True})  # type: ignore
    try:
        if threads:
            import torch

            torch.set_num_threads(threads)
        result = work(*arguments)
        pickle.dumps(result)  # or it could not be sent
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return None, _portable(error)
    return result, None


def _portable(error: BaseException) -> BaseException:
    """An error as another process can read it, with the place where it was raised."""
    if not isinstance(error, SafetuneError):
        error.add_note(f"in a subprocess:\n{''.join(traceback.format_exception(error))}")
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # its class asks for more than a message
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
