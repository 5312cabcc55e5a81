"""Processors, by name or measured: how fast they multiply and read, and how much memory they have.

GB are 10^9 bytes, TFLOP 10^12 operations; a multiplication and an addition are two operations.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from safetune_utils.errors import SafetuneError, closest
from safetune_utils.machine.device import n_gpus, planned

if TYPE_CHECKING:
    import torch

GB = 1e9


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """A processor.

    Attributes:
        name: one of :data:`HARDWARE`, or what its driver calls it.
        kind: ``cpu`` or ``gpu``.
        half: rate of matrix products in bf16 or fp16, in TFLOP/s.
        fp32: the same in fp32.
        memory: in GB.
        bandwidth: of the memory, in GB/s.
        bf16: whether it can multiply bf16.
    """

    name: str
    kind: str
    half: float
    fp32: float
    memory: float
    bandwidth: float
    bf16: bool = True


# Dense rates with fp32 accumulation. From NVIDIA's data sheets of T4, L4, V100 (SXM2), A100 (SXM) and H100
# (SXM), its white papers of the Ampere GA102 and Ada AD102 chips (RTX 3090, 4090), and for A10G AWS's page of
# the G5 instances.
_GPUS = (
    Hardware(name="T4", kind="gpu", half=65, fp32=8.1, memory=16, bandwidth=320, bf16=False),
    Hardware(name="V100-16", kind="gpu", half=125, fp32=15.7, memory=16, bandwidth=900, bf16=False),
    Hardware(name="RTX-3090", kind="gpu", half=71, fp32=35.6, memory=24, bandwidth=936),
    Hardware(name="RTX-4090", kind="gpu", half=165, fp32=82.6, memory=24, bandwidth=1008),
    Hardware(name="A10G", kind="gpu", half=70, fp32=35, memory=24, bandwidth=600),
    Hardware(name="L4", kind="gpu", half=121, fp32=30.3, memory=24, bandwidth=300),
    Hardware(name="A100-40", kind="gpu", half=312, fp32=19.5, memory=40, bandwidth=1555),
    Hardware(name="A100-80", kind="gpu", half=312, fp32=19.5, memory=80, bandwidth=2039),
    Hardware(name="H100-80", kind="gpu", half=989, fp32=67, memory=80, bandwidth=3350),
)
HARDWARE = {hardware.name: hardware for hardware in _GPUS}
THIS_MACHINE = "this-machine"
_CPU_SIZE = 1024  # of the square matrices by which a CPU is measured


def hardware_of(name: str) -> Hardware:
    """A kind of hardware.

    Args:
        name: a name of :data:`HARDWARE`; ``this-machine``, which is its CPU, measured now in about a second;
            or ``auto``, which is the first GPU of this machine as :data:`HARDWARE` has it, or measured, and
            without a GPU the CPU, measured.

    Raises:
        SafetuneError: an unknown name; the message has the closest known one.
    """
    name = known_name(name)
    if name == "auto":
        return _gpu_here() or measured_hardware("cuda" if n_gpus() else "cpu")
    if name == THIS_MACHINE:
        return measured_hardware("cpu")
    return HARDWARE[name]


def known_name(name: str) -> str:
    """A name that :func:`hardware_of` knows, as it writes it.

    Raises:
        SafetuneError: an unknown name; the message has the closest known one.
    """
    known = {hardware.lower(): hardware for hardware in (*HARDWARE, THIS_MACHINE, "auto")}
    wanted = re.sub(r"[\s_]+", "-", name.strip().lower())
    if wanted in known:
        return known[wanted]
    near = closest(wanted, known)
    guess = f"did you mean '{known.get(near, near)}'? There are " if near else "choose from "
    raise SafetuneError(f"unknown hardware '{name}': {guess}{', '.join(HARDWARE)}, {THIS_MACHINE} and auto")


def _gpu_here() -> Hardware | None:
    if not n_gpus():
        return None
    import torch

    found = torch.cuda.get_device_properties(0)
    return card_named(found.name, found.total_memory / GB)


def card_named(device: str, memory: float) -> Hardware | None:
    """The GPU of :data:`HARDWARE` that a driver calls ``device``, or ``None``.

    Of several with that name it is the one whose memory is closest to ``memory``, in GB.
    """
    words = set(re.split(r"[^A-Z0-9]+", device.upper()))
    alike = [
        hardware
        for hardware in _GPUS
        if set(hardware.name.removesuffix(f"-{hardware.memory:.0f}").split("-")) <= words
    ]
    return min(alike, key=lambda hardware: abs(hardware.memory - memory), default=None)


@cache
def measured_hardware(device: str) -> Hardware:
    """This machine's CPU or GPU, from matrix products and a copy of 256 MB, about a quarter of a second each.

    Args:
        device: ``cpu`` or ``cuda``, as PyTorch names it.
    """
    import torch

    source = torch.ones(64 * 2**20, device=device)
    target = torch.empty_like(source)
    # Each byte is read once and written once.
    bandwidth = 2 * source.nbytes * _times_a_second(lambda: target.copy_(source), device) / GB
    if device == "cpu":
        name, memory = THIS_MACHINE, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    else:
        found = torch.cuda.get_device_properties(0)
        name, memory = found.name, found.total_memory
    return Hardware(
        name=name,
        kind="cpu" if device == "cpu" else "gpu",
        half=_matrix_rate(torch.bfloat16, device),
        fp32=_matrix_rate(torch.float32, device),
        memory=memory / GB,
        bandwidth=bandwidth,
        bf16=planned(device=device)[1] == "bf16",
    )


@cache
def fp32_rate() -> float:
    """TFLOP/s of the product of two fp32 matrices on this machine's CPU, measured in about a tenth of a
    second; by NumPy, for PyTorch takes seconds to import.
    """
    a, b = np.random.default_rng(0).standard_normal((2, _CPU_SIZE, _CPU_SIZE), dtype=np.float32)
    return 2 * _CPU_SIZE**3 * _times_a_second(lambda: a @ b, "cpu", seconds=0.05) / 1e12


def _matrix_rate(dtype: torch.dtype, device: str) -> float:
    """TFLOP/s of the product of two square matrices."""
    import torch

    size = _CPU_SIZE if device == "cpu" else 8192
    a = torch.randn(size, size, device=device).to(dtype)
    b = torch.randn(size, size, device=device).to(dtype)
    return 2 * size**3 * _times_a_second(lambda: a @ b, device) / 1e12


def _times_a_second(work: Callable[[], object], device: str, seconds: float = 0.25) -> float:
    def done() -> float:
        if device != "cpu":
            import torch

            torch.cuda.synchronize()
        return time.perf_counter()

    clock = done()
    work()  # the first call prepares kernels and memory, so it does not count, unless it says enough alone
    if (first := done() - clock) > 4 * seconds:
        return 1 / first
    clock, n = done(), 0
    while done() - clock < seconds:
        work()
        n += 1
    return n / (done() - clock)
