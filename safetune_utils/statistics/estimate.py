"""One number with its interval: what the statistics give, findings keep, verdicts judge and sentences say."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from pydantic import TypeAdapter

from safetune_utils.errors import SafetuneError


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A number with its 95 % interval.

    Attributes:
        value: a share, 0 to 1, or a change of one, -1 to 1; with another ``unit`` a number in that unit.
        low, high: its interval, in the same unit. All three are ``nan`` where nothing was measured, the
            bounds alone where there was too little for an interval.
        n: what it rests on, scored answers or pairs; ``None`` where that is not one number.
        n_unscored: answers that were left out because they have no score.
        of: what ``n`` counts, in the plural.
        unit: ``share``, or what the number is measured in: ``nats``, ``tokens``, ``κ``.
        is_change: whether it is a change, second less first, and not a level. A change is held against 0, a
            share against one half.
        p_value: two-sided; ``nan`` where nothing was tested.
        standard_error: of the value, in its unit; ``nan`` where none was worked out.
        method: what gave the interval.
    """

    value: float
    low: float
    high: float
    n: int | None = None
    n_unscored: int = 0
    of: str = "prompts"
    unit: str = "share"
    is_change: bool = False
    p_value: float = math.nan
    standard_error: float = math.nan
    method: str = ""

    @property
    def even(self) -> float:
        """The value that says neither one thing nor the other."""
        return 0.0 if self.is_change else 0.5

    @property
    def side(self) -> Literal[-1, 0, 1]:
        """1 where the whole interval is above ``even``, -1 where it is below; 0 where it holds that."""
        return 1 if self.low > self.even else -1 if self.high < self.even else 0

    @property
    def direction(self) -> Literal["rises", "falls", "not seen"]:
        """Which way a change goes, in words; ``not seen`` where its interval holds 0."""
        words: dict[int, Literal["rises", "falls", "not seen"]] = {1: "rises", -1: "falls", 0: "not seen"}
        return words[self.side]

    def as_data(self) -> dict[str, Any]:
        """Plain data, for JSON: ``value, low, high, n``, ``None`` where undefined, and whatever else is not
        as by default.
        """
        plain = {name: None if value != value else value for name, value in vars(self).items()}
        defaults = {field.name: field.default for field in fields(self)}
        return {
            name: value
            for name, value in plain.items()
            if name in _ALWAYS or value not in (None, defaults[name])
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Estimate:
        """The number that :meth:`Estimate.as_data` made plain.

        Raises:
            SafetuneError: the data is not of that form.
        """
        try:
            floats = {name: float("nan" if data[name] is None else data[name]) for name in _ALWAYS[:3]}
            return _FORM.validate_python(vars(cls(**{**data, **floats})))
        except (KeyError, TypeError, ValueError):
            raise SafetuneError(
                f"{str(data)[:200]} is no number with its interval as it is kept now: make anew what holds it"
            ) from None


_FORM = TypeAdapter(Estimate)
_ALWAYS = ("value", "low", "high", "n")
