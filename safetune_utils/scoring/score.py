"""What every instrument returns: one score for each row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypedDict


class ScoreLine(TypedDict, total=False):
    """A score as it is written to a file: ``value`` and what else there is, or the reason as ``unscored``."""

    value: float
    label: str
    reason: str
    parts: dict[str, float]
    unscored: str


@dataclass(frozen=True)
class Score:
    """What an instrument says of one answer.

    Attributes:
        value: in the instrument's own range and direction; ``None`` where the row is unscored.
        label: the class, for an instrument that has classes.
        reason: in words, why it has this value or why it is unscored; text from outside is never repeated in
            it.
        parts: numbers that the value was made from, such as a moderation service's categories.
    """

    value: float | None
    label: str | None = None
    reason: str = ""
    parts: Mapping[str, float] = field(default_factory=dict)

    def line(self) -> ScoreLine:
        """The score as ``safetune score`` writes it."""
        if self.value is None:
            return {"unscored": self.reason}
        line: ScoreLine = {"value": self.value}
        if self.label:
            line["label"] = self.label
        if self.reason:
            line["reason"] = self.reason
        if self.parts:
            line["parts"] = dict(self.parts)
        return line


NO_WORDS = Score(None, reason="no words in the answer")


def has_words(response: str) -> bool:
    """Whether an answer holds a letter. One that holds none is scored by no instrument, but for coherence."""
    return any(map(str.isalpha, response))


def check_pairs(prompts: Sequence[str], responses: Sequence[str]) -> None:
    """Check that there is one response for each prompt.

    Raises:
        ValueError: there is not.
    """
    if len(prompts) != len(responses):
        raise ValueError(
            f"{len(prompts)} prompts and {len(responses)} responses: give one response for each prompt"
        )
