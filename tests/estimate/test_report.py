"""What an estimate shows."""

from __future__ import annotations

import json

import pytest

from safetune_utils.estimate.estimate import estimate
from safetune_utils.estimate.report import table
from safetune_utils.presets import PRESETS, resolve


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.usefixtures("nothing_at_hand")
def test_every_preset_gives_a_table_and_plain_data(preset: str) -> None:
    found = estimate(settings=resolve(preset=preset), hardware="A100-40")
    assert found["verdict"].startswith("fits: ")
    assert json.loads(json.dumps(found)) == found
    assert {"base model", "memory, training", "time, the study", "disk"} <= {
        row["what"] for row in table(found)
    }
