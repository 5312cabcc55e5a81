"""What a machine computes with: a device and a number format, planned before anything runs.

Numbers differ in their last digits from device to device and from format to format, so both belong to what a
result was made from. A machine without a GPU can plan for one that has it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import psutil

from safetune_utils.errors import SafetuneError

# The number formats by their names in PyTorch.
FORMATS = {"bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}
# The devices by which Linux speaks to GPUs: of NVIDIA, of its small boards, of AMD, of the Windows around it.
_GPU_FILES = ("/dev/nvidiactl", "/dev/nvmap", "/dev/kfd", "/dev/dxg")


def n_gpus() -> int:
    """How many GPUs PyTorch sees; it is not imported where Linux has no device of the kind."""
    if "torch" not in sys.modules and sys.platform == "linux" and not any(map(os.path.exists, _GPU_FILES)):
        return 0
    import torch

    return max(1, torch.cuda.device_count()) if torch.cuda.is_available() else 0


def n_threads() -> int:
    """How many CPU threads PyTorch computes with in this process.

    It is not imported to be asked: where it is not yet, the answer is what it would take, a thread for each
    core, or ``OMP_NUM_THREADS`` if that is fewer.
    """
    if torch := sys.modules.get("torch"):
        return torch.get_num_threads()
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    given = os.environ.get("OMP_NUM_THREADS", "")
    wanted = int(given) if given.isdecimal() and int(given) else allowed
    return min(wanted, psutil.cpu_count(logical=False) or allowed)


def planned(*, device: str = "auto", precision: str = "auto") -> tuple[str, str]:
    """A device and a number format with no ``auto`` left: what this machine has.

    Args:
        device: ``cpu``, ``cuda``, or ``auto``, which is a GPU where there is one.
        precision: ``bf16``, ``fp16``, ``fp32``, or ``auto``: bf16 where the device multiplies it fast, else
            fp16 on a GPU and fp32 on a CPU.

    Raises:
        SafetuneError: ``auto`` precision for a GPU that this machine does not have.
    """
    if device == "auto":
        device = "cuda" if n_gpus() else "cpu"
    if precision == "auto":
        if device == "cuda" and not n_gpus():
            raise SafetuneError(
                "which number format a GPU multiplies fast cannot be told on a machine without one: set"
                " precision to bf16 (Ampere and newer) or fp16"
            )
        precision = "bf16" if _fast_bf16(device) else "fp16" if device == "cuda" else "fp32"
    return device, precision


def check(device: str) -> None:
    """Raise ``SafetuneError`` where this machine does not have a planned device."""
    if device == "cuda" and not n_gpus():
        raise SafetuneError(
            "this is planned for a GPU (device cuda), and PyTorch sees none here: run it where there is one,"
            " or set device to cpu"
        )


def _fast_bf16(device: str) -> bool:
    if device == "cuda":
        import torch

        return torch.cuda.is_bf16_supported(including_emulation=False)
    flags = Path("/proc/cpuinfo")
    return flags.is_file() and ("avx512_bf16" in (text := flags.read_text()) or "amx_bf16" in text)
