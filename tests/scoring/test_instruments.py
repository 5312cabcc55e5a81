"""The instruments by name: one shape for all, and what cannot be scored."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from safetune_utils import places
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
        ("refusals", {}, "did you mean 'refusal'"),
        ("refusal", {"base_url": "http://127.0.0.1:1/v1"}, "asks no server: leave base_url away"),
        ("judge-harm", {"model": "m"}, "both base_url and model"),
        ("judge-harm", {"cap_usd": 1.0}, "both base_url and model"),
        ("moderation", {"cap_usd": 1.0}, "takes no such option: leave cap_usd away"),
    ],
)
def test_what_cannot_be_scored_is_one_line(name: str, options: dict[str, str], message: str) -> None:
    with pytest.raises(SafetuneError, match=message):
        instruments.score(name, ["a"], ["b"], **options)


@pytest.mark.parametrize("name", ["coherence", "refusal", "harmfulness", "judge-harm"])
def test_kept_scores_are_known_by_what_the_instrument_reads(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A changed corpus, changed weights or changed recorded replies give other scores, so another key."""
    copy = tmp_path / "data"
    shutil.copytree(places.data_folder(), copy)
    monkeypatch.setenv("SAFETUNE_DATA", str(copy))
    before = instruments.key(name, arithmetic="cpu-bf16")
    read = {
        "coherence": "corpus/general.jsonl",
        "refusal": "weights/refusal/weights.safetensors",
        "harmfulness": "weights/harmfulness/weights.safetensors",
        "judge-harm": "recorded/judge_replies.jsonl",
    }
    with (copy / read[name]).open("ab") as file:
        file.write(b"\n")
    assert instruments.key(name, arithmetic="cpu-bf16") != before


def test_the_key_of_a_model_s_scores_holds_what_it_computes_in() -> None:
    keys = {
        name: [instruments.key(name, arithmetic=arithmetic) for arithmetic in ("cpu-bf16", "cuda-fp16")]
        for name in instruments.at_hand()
    }
    assert {name for name, (first, second) in keys.items() if first != second} == {"refusal", "harmfulness"}


def test_what_needs_nothing_is_at_hand() -> None:
    found = instruments.at_hand()
    assert found[0] == "refusal-rules"
    assert {"refusal-rules", "refusal", "harmfulness", "coherence"} <= set(found)
    assert not [name for name in found if instruments.INSTRUMENTS[name].needs != "nothing"]
