"""Instruments: each takes prompts and responses and returns one score a row, in the same order.

    score(prompts, responses, *, ...) -> list[Score]

Every instrument's file says what it measures, in which range and direction, and what it does not measure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Score:
    """What an instrument says of one answer.

    Attributes:
        value: in the instrument's own range; ``None`` where the row is unscored.
        label: the class, for an instrument that has classes.
        reason: in words, why it has this value or why it is unscored; text from outside is never repeated in
            it.
        parts: figures that the value was made from, such as a moderation service's categories.
    """

    value: float | None
    label: str | None = None
    reason: str = ""
    parts: Mapping[str, float] = field(default_factory=dict)

    def line(self) -> dict[str, Any]:
        """The score as ``safetune score`` writes it: ``value`` with what else there is, or ``unscored`` with
        its reason.
        """
        if self.value is None:
            return {"unscored": self.reason}
        return {
            "value": self.value,
            **({"label": self.label} if self.label else {}),
            **({"reason": self.reason} if self.reason else {}),
            **({"parts": dict(self.parts)} if self.parts else {}),
        }


def check_pairs(prompts: Sequence[str], responses: Sequence[str]) -> None:
    """Raise ``ValueError`` unless there is one response for each prompt."""
    if len(prompts) != len(responses):
        raise ValueError(
            f"{len(prompts)} prompts and {len(responses)} responses: give one response for each prompt"
        )
