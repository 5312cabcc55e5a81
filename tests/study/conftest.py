"""What the tests of studies share."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from safetune_utils.study import plan as planning


@pytest.fixture
def multiplying(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Lets this machine be one that multiplies so fast, in TFLOPS, in every number format."""

    def at(tflops: float) -> None:
        monkeypatch.setattr(planning, "fp32_rate", lambda: tflops)

    return at


@pytest.fixture(autouse=True)
def of_the_guesses(multiplying: Callable[[float], None]) -> None:
    """The machine of the guesses of a forecast, so that it is the same on every machine."""
    multiplying(planning._GUESSED_AT_TFLOPS)
