"""What the tests of studies share."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from safetune_utils.estimate.hardware import HARDWARE, Hardware
from safetune_utils.study import plan as planning


@pytest.fixture
def multiplying(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Lets this machine be one that multiplies so fast, in TFLOPS, in every number format."""

    def at(tflops: float) -> None:
        machine: Hardware = dataclasses.replace(HARDWARE["T4"], name="", kind="cpu", half=tflops, fp32=tflops)
        monkeypatch.setattr(planning, "measured_hardware", lambda device: machine)

    return at


@pytest.fixture(autouse=True)
def of_the_guesses(multiplying: Callable[[float], None]) -> None:
    """The machine of the guesses of a forecast, so that it is the same on every machine."""
    multiplying(planning._GUESSED_AT_TFLOPS)
