"""Peak memory of a block of code, and what is said where there is too little."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest
import torch

from safetune_utils.errors import SafetuneError
from safetune_utils.machine.memory import enough_memory


def test_peak_memory_is_that_of_the_block() -> None:
    # In a process of its own: here, earlier tests have left freed memory that a new block would fit into.
    program = """
from safetune_utils.machine import memory

def peak(size):
    with memory.peak_memory() as result:
        block = bytearray(size)
        block[::4096] = b"x" * len(block[::4096])
    return result["bytes"]

print(peak(10_000_000), peak(400_000_000), peak(10_000_000))
"""
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    small, large, after = map(int, answer.stdout.split())
    assert large - small > 350_000_000
    if sys.platform == "linux":  # elsewhere the mark is that of the whole process
        assert large - after > 350_000_000


def _too_much_on_a_cpu() -> None:
    torch.empty(2**60, dtype=torch.uint8)


def _too_much_on_a_gpu() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has ...")


def _too_much_for_python() -> None:
    raise MemoryError


@pytest.mark.parametrize(
    ("work", "where"),
    [
        (_too_much_on_a_cpu, "this machine's memory"),
        (_too_much_on_a_gpu, "the GPU's memory"),
        (_too_much_for_python, "this machine's memory"),
    ],
)
def test_too_little_memory_is_one_line_that_says_what_to_lower(work: Callable[[], None], where: str) -> None:
    with pytest.raises(SafetuneError) as caught, enough_memory("lower batch_size (now 96)"):
        work()
    assert str(caught.value) == f"{where} is too small for this: lower batch_size (now 96)"


def test_other_errors_stay_as_they_are() -> None:
    with pytest.raises(RuntimeError, match="shape"), enough_memory("lower batch_size"):
        torch.zeros(3) @ torch.zeros(4, 4)
