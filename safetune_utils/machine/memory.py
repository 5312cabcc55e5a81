"""Memory of this process: its peak, and giving free memory back to the system."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil

from safetune_utils.errors import SafetuneError

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]


@contextlib.contextmanager
def peak_memory() -> Iterator[dict[str, int]]:
    """Measure the peak resident memory of this process inside the ``with`` block.

    Yields:
        A dictionary whose entry ``bytes`` is set when the block ends without an error.

    Linux can reset the peak at the start, so the value is that of the block; on other systems it is the peak
    since the process started, on Windows what is in use at the end.
    """
    reset = Path("/proc/self/clear_refs")
    with contextlib.suppress(OSError):
        reset.write_text("5")
    result = {"bytes": 0}
    yield result
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        result["bytes"] = int(line.split()[1]) * 1024
    elif resource:
        unit = 1 if sys.platform == "darwin" else 1024
        result["bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    else:
        result["bytes"] = psutil.Process().memory_info().rss


@contextlib.contextmanager
def enough_memory(mend: str) -> Iterator[None]:
    """Say in one line what to change where the block runs out of memory, on a CPU or a GPU.

    Raises:
        SafetuneError: the block asked for more memory than there is. A system that gives more memory than it
            has ends the process instead.
    """
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        where = "the GPU's" if type(error).__name__ == "OutOfMemoryError" else "this machine's"
        raise SafetuneError(f"{where} memory is too small for this: {mend}") from None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there is no more memory: Python's own, the system's, PyTorch's on a GPU or
    on a CPU, that of a library that finds no room to be loaded.
    """
    words = ("out of memory", "t allocate memory", "failed to map segment", "bad_alloc")
    return isinstance(error, MemoryError) or any(word in str(error) for word in words)


def memory_bytes() -> int:
    """How much memory processes of this machine can have, swap too: what it has, or what a control group or
    a limit of the shell allows of it.
    """
    there = psutil.virtual_memory().total + psutil.swap_memory().total
    limits = []
    if resource and (limit := resource.getrlimit(resource.RLIMIT_AS)[0]) != resource.RLIM_INFINITY:
        limits.append(limit)
    for name in ("memory.max", "memory/memory.limit_in_bytes"):  # Linux's second and first version of them
        with contextlib.suppress(OSError, ValueError):
            limits.append(int((Path("/sys/fs/cgroup") / name).read_text()))  # "max" where there is none
    return min([there, *limits])


def release_memory() -> None:
    """Free objects that are no longer reachable and give their memory back to the system."""
    gc.collect()
    trim_heap()


def trim_heap() -> None:
    """Give freed memory back to the system where the C library keeps it (glibc); elsewhere do nothing.

    Tensors of changing sizes fragment the memory of the C library: without this call, a process was seen to
    hold 6 GB after hundreds of training steps while 2 GB were in use.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
