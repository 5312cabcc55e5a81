"""The instruments by name: one shape for all, and what cannot be scored."""

from __future__ import annotations

import pytest

from safetune_utils.errors import SafetuneError
from safetune_utils.scoring import instruments
from safetune_utils.scoring.score import Score

OFFLINE = ["refusal", "coherence"]


@pytest.mark.parametrize("name", OFFLINE)
def test_instruments_share_one_shape(name: str) -> None:
    found = instruments.score(name, ["a", "b"], ["I can't help with that.", "..."])
    assert len(found) == 2
    assert all(isinstance(one, Score) for one in found)
    assert found[1].value in (None, 0)  # no words: unscored, or no text at all


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("refusals", {}, "choose from refusal"),
        ("refusal", {"base_url": "http://127.0.0.1:1/v1"}, "asks no server: leave base_url away"),
        ("judge-harm", {"model": "m"}, "both base_url and model"),
    ],
)
def test_what_cannot_be_scored_is_one_line(name: str, options: dict[str, str], message: str) -> None:
    with pytest.raises(SafetuneError, match=message):
        instruments.score(name, ["a"], ["b"], **options)


def test_every_instrument_has_a_version_that_its_kept_scores_are_known_by() -> None:
    assert all(one.version() for one in instruments.INSTRUMENTS.values())


def test_what_needs_nothing_is_at_hand() -> None:
    assert instruments.at_hand() == ["refusal-rules", "refusal", "harmfulness", "coherence"]
