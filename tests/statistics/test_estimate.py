"""A number with its interval: what it is held against, and its plain form."""

from __future__ import annotations

import json
import math

import pytest
from estimates import MISSING, UNSCORED, change, share

from safetune_utils.errors import SafetuneError
from safetune_utils.statistics import Estimate


@pytest.mark.parametrize(
    ("number", "side"),
    [
        (share(0.6, 0.51, 0.7), 1),
        (share(0.4, 0.3, 0.49), -1),
        (share(0.55, 0.5, 0.6), 0),
        (change(0.1, 0.01, 0.2), 1),
        (change(-0.1, -0.2, -0.01), -1),
        (change(0.1, 0.0, 0.2), 0),
        (MISSING, 0),
    ],
)
def test_a_share_is_held_against_one_half_and_a_change_against_zero(number: Estimate, side: int) -> None:
    assert number.side == side
    assert number.direction == {1: "rises", -1: "falls", 0: "not seen"}[side]


def test_a_number_survives_as_plain_data() -> None:
    whole = change(2.5, 1.0, 4.0, 0.01, n=8, unit="tokens", of="answers", n_unscored=2, method="m")
    for number in (whole, share(0.1 + 0.2, 0.2, 1 / 3), share(0.5, 0.4, 0.6, n=None)):
        assert Estimate.from_data(json.loads(json.dumps(number.as_data()))) == number
    assert share(0.5, 0.4, 0.6, method="").as_data() == {"value": 0.5, "low": 0.4, "high": 0.6, "n": 98}
    assert UNSCORED.as_data()["value"] is None
    assert math.isnan(Estimate.from_data(UNSCORED.as_data()).value)


@pytest.mark.parametrize("data", [{}, {"value": "x", "low": 0, "high": 1}, {"kind": "Share", "value": 0.5}])
def test_data_of_another_form_is_told(data: dict[str, object]) -> None:
    with pytest.raises(SafetuneError, match="no number with its interval"):
        Estimate.from_data(data)
