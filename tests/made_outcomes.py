"""What a run found, made by hand: numbers of chapter 1, and negative controls."""

from __future__ import annotations

from typing import Any

from safetune_utils.scoring.controls import NEEDED, ControlRow
from safetune_utils.statistics import Estimate


def control(instrument: str, *, passes: bool = True, what: str = NEEDED[0]) -> ControlRow:
    return {
        "instrument": instrument,
        "control": what,
        "n": 66,
        "yes": 1 if passes else 22,
        "passes": passes,
    }


def passing(instrument: str) -> list[ControlRow]:
    """Every negative control that is needed, and passed."""
    return [control(instrument, what=what) for what in NEEDED]


PASSED = passing("refusal-rules")


def outcomes(**numbers: Estimate) -> dict[str, Any]:
    settings = {
        "base_model": "embedded",
        "data": "embedded",
        "n_general": 320,
        "safety_amounts": [0, 200],
        "seeds": [0, 1],
        "instruments": ["refusal-rules", "harmfulness"],
    }
    return {"01_safety_amount": {"settings": settings, "made": {}, "numbers": numbers, "controls": PASSED}}
