"""Rows, prompts and tokens: counted where the data is at hand, assumed elsewhere."""

from __future__ import annotations

import pytest

from safetune_utils.errors import SafetuneError
from safetune_utils.estimate.estimate import estimate
from safetune_utils.estimate.hardware import Hardware
from safetune_utils.presets import resolve


def test_rows_and_prompts_of_the_embedded_data_are_counted(cpu: Hardware) -> None:
    found = estimate(settings=resolve(), hardware=cpu)
    assert found["prompts"]["sets"]["malicious"] == 98
    assert [entry["rows"] for entry in found["time"]["adapters"]] == [320, 345, 370, 420, 520]
    # As in the records of runs with these settings.
    assert [entry["validation_rows"] for entry in found["time"]["adapters"]] == [40, 44, 47, 53, 65]
    assert estimate(settings=resolve(max_prompts=6), hardware=cpu)["prompts"]["sets"]["malicious"] == 6


@pytest.mark.usefixtures("nothing_at_hand")
def test_what_is_not_at_hand_is_said_to_be_assumed() -> None:
    found = estimate(settings=resolve(preset="paper"), hardware="A100-40")
    assert found["rows"]["counted"] == found["prompts"]["counted"] == []
    assert sum("not at hand" in line for line in found["assumed"]) == 3
    assert found["prompts"]["sets"]["lookalikes_safe"] == 250
    assert [entry["rows"] for entry in found["time"]["adapters"]] == [
        n + 19_500 for n in (0, 100, 300, 500, 1000, 1500, 2000)
    ]


def test_contrast_rows_are_counted_and_a_guard_makes_prompts_longer(cpu: Hardware) -> None:
    def found(**given: object) -> dict:
        return estimate(
            settings=resolve(safety_amounts=[50], **given), hardware=cpu, prompt_sets=["malicious"]
        )

    plain, more = (
        found(),
        found(mixing={"n_contrast": 100, "topics_left_out": ["drugs"], "choice": "hardest"}),
    )
    one, other = (result["time"]["adapters"][0] for result in (plain, more))
    assert (one["rows"], other["rows"]) == (370, 470)
    tokens = 2 * sum(
        n * more["rows"]["tokens"][kind] for kind, n in (("general", 320), ("safety", 50), ("contrast", 100))
    )
    assert other["tokens"] == pytest.approx(tokens)
    assert other["training"] > one["training"]
    assert "contrast" not in plain["rows"]["tokens"]
    with pytest.raises(SafetuneError, match="n_contrast is 111"):
        found(mixing={"n_contrast": 111})
    guarded = found(decoding={"guard": "Think before you answer this."})
    if plain["prompts"]["counted"]:  # else the tokenizer is not at hand, and lengths are assumed
        assert guarded["prompts"]["longest"] > plain["prompts"]["longest"]
