"""Hardware by name, by what a device calls itself, and this machine's as measured."""

from __future__ import annotations

import time

import pytest

from safetune_utils.errors import SafetuneError
from safetune_utils.estimate import hardware
from safetune_utils.estimate.hardware import HARDWARE, card_named, hardware_of


def test_hardware_goes_by_its_name() -> None:
    assert hardware_of("rtx 4090") is HARDWARE["RTX-4090"]
    with pytest.raises(SafetuneError, match="did you mean 'A100-40'"):
        hardware_of("A100-4")
    for device, memory, name in [
        ("Tesla T4", 15.8, "T4"),
        ("NVIDIA A100-SXM4-40GB", 42.3, "A100-40"),
        ("NVIDIA A100 80GB PCIe", 85.0, "A100-80"),
        ("NVIDIA GeForce RTX 3090", 25.4, "RTX-3090"),
        ("Tesla V100-SXM2-16GB", 16.9, "V100-16"),
        ("NVIDIA L4", 23.6, "L4"),
    ]:
        assert card_named(device, memory) is HARDWARE[name]
    assert card_named("NVIDIA L40S", 47.7) is None
    assert card_named("NVIDIA A10", 23.7) is None


def test_this_machine_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "_times_a_second", lambda work, device: 500.0)
    hardware.measured_hardware.cache_clear()
    found = hardware_of("this-machine")
    hardware.measured_hardware.cache_clear()
    assert found.kind == "cpu"
    assert (found.half, found.fp32) == pytest.approx((2 * 1024**3 * 500 / 1e12,) * 2)
    assert found.bandwidth == pytest.approx(2 * 2**28 * 500 / 1e9)
    assert found.memory > 0.5


def test_a_product_that_takes_long_is_done_once() -> None:
    calls: list[int] = []

    def slow() -> None:
        calls.append(1)
        time.sleep(0.05)

    assert hardware._times_a_second(slow, "cpu", seconds=0.01) < 1 / 0.05
    assert len(calls) == 1
