"""What a machine computes with: a device and a number format, planned before anything runs.

Numbers differ in their last digits from device to device and from format to format, so both belong to what a
result was made from. A machine without a GPU can plan for one that has it.
"""

from __future__ import annotations

from pathlib import Path

import torch

from safetune_utils.errors import SafetuneError

FORMATS = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}


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
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if precision == "auto":
        if device == "cuda" and not torch.cuda.is_available():
            raise SafetuneError(
                "which number format a GPU multiplies fast cannot be told on a machine without one: set"
                " precision to bf16 (Ampere and newer) or fp16"
            )
        precision = "bf16" if _fast_bf16(device) else "fp16" if device == "cuda" else "fp32"
    return device, precision


def check(device: str) -> None:
    """Raise ``SafetuneError`` where this machine does not have a planned device."""
    if device == "cuda" and not torch.cuda.is_available():
        raise SafetuneError(
            "this is planned for a GPU (device cuda), and PyTorch sees none here: run it where there is one,"
            " or set device to cpu"
        )


def _fast_bf16(device: str) -> bool:
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    flags = Path("/proc/cpuinfo")
    return flags.is_file() and ("avx512_bf16" in (text := flags.read_text()) or "amx_bf16" in text)
