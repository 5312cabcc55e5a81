"""How processes end: when they are asked to, and when the one that started them is gone.

Ctrl-C, SIGTERM and SIGHUP raise ``KeyboardInterrupt`` in the main thread, so that every block of the code
ends as it is written. A process that is killed outright cannot tell those that it started: each of them looks
whether its parent is still there.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from multiprocessing import resource_tracker

# Ctrl-C reaches all processes of a terminal, and the first of them tells the others. Windows has no SIGHUP.
OF_OTHERS = tuple(signal.Signals[name] for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
SIGNALS = (signal.SIGINT, *OF_OTHERS)
# The variable by which the server that subprocesses are forked from learns who starts it.
STARTED_BY = "SAFETUNE_STARTED_BY"
_LOOK_EVERY = 0.5  # seconds
# Seconds that a process has after SIGTERM. One that was started itself gives less to those that it started,
# so that all are gone in five.
_LONGEST_STOP = 3.0
_LONGEST_STOP_BELOW = 1.0
_AT_ONCE_AFTER = 1.0  # seconds; `timeout` sends its signal twice in the same moment

_asked: tuple[signal.Signals, float] | None = None
_is_below = False


def stop_on_signals(signals: Sequence[signal.Signals] = SIGNALS) -> None:
    """From now on these signals raise ``KeyboardInterrupt`` in the main thread; one more, a second later,
    ends the process at once. A signal that is ignored, as under ``nohup``, stays so.
    """

    def stop(number: int, _: object) -> None:
        global _asked
        if _asked is None:
            _asked = (signal.Signals(number), time.monotonic())
            raise KeyboardInterrupt(_asked[0].name)
        if time.monotonic() - _asked[1] > _AT_ONCE_AFTER:
            os._exit(128 + number)

    for one in signals:
        if signal.getsignal(one) != signal.SIG_IGN:
            signal.signal(one, stop)
    let_through(signals)


def stop_no_longer() -> None:
    """The work is done: from now on SIGTERM and SIGHUP end the process at once and without a word. Whatever
    else is called at its end, such as an IPython shell's, would tell the ``KeyboardInterrupt`` as a fault.
    """
    for one in OF_OTHERS:
        if signal.getsignal(one) != signal.SIG_IGN:
            signal.signal(one, signal.SIG_DFL)


def let_through(signals: Sequence[signal.Signals] = SIGNALS) -> None:
    """Hold these signals back no longer; Windows never does."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)


def asked() -> signal.Signals | None:
    """The signal that asked this process to stop; ``None`` where none did."""
    return _asked[0] if _asked else None


def end_with_parent(parent: int | None = None) -> None:
    """From now on this process ends as soon as the one that started it is gone, however that ended.

    Args:
        parent: the process id of that one, so that it is also noticed where it is gone already.
    """
    global _is_below
    _is_below = True
    starter = multiprocessing.parent_process()  # also where a server process did the fork
    expected = parent or os.getppid()

    def watch() -> None:
        if starter:
            starter.join()
        else:
            while os.getppid() == expected:
                time.sleep(_LOOK_EVERY)
        os._exit(1)

    threading.Thread(target=watch, name="end with the parent", daemon=True).start()


def python(code: str, *arguments: str) -> list[str]:
    """The command for a process that runs some Python code and ends with this process.

    Args:
        code: Python statements.
        arguments: what they find in ``sys.argv``.
    """
    begin = f"from {__name__} import begin_below; begin_below({os.getpid()}); "
    return [sys.executable, "-c", begin + code, *arguments]


def begin_below(parent: int) -> None:
    """What a process of :func:`python` does first. Ctrl-C ends it without a word, as its parent says so;
    code that handles Ctrl-C, as a kernel does, sets its own way.

    Args:
        parent: the process id of the one that started it.
    """
    end_with_parent(parent)
    if signal.getsignal(signal.SIGINT) == signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    let_through()


@contextlib.contextmanager
def signals_held_back() -> Iterator[None]:
    """Processes started in the block begin with the signals held back, until they call
    :func:`stop_on_signals`; so none of them ends in the middle of its start.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # to start it would let the signals through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def none_left() -> Iterator[None]:
    """Whatever ends the block, the processes that :mod:`multiprocessing` started in it end too: they are
    asked to stop, and those that are there some seconds later are killed.
    """
    before = set(multiprocessing.active_children())
    try:
        yield
    finally:
        left = set(multiprocessing.active_children()) - before
        for process in left:
            process.terminate()
        end = time.monotonic() + (_LONGEST_STOP_BELOW if _is_below else _LONGEST_STOP)
        for process in left:
            process.join(max(0.0, end - time.monotonic()))
        for process in left:
            process.kill()
            process.join()
