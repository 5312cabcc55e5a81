"""Peak memory of a block of code."""

from __future__ import annotations

import subprocess
import sys


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
