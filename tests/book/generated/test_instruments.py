"""The instruments' page: every card, and what was measured."""

from __future__ import annotations

from safetune_utils.book.generated import instruments
from safetune_utils.scoring.instruments import INSTRUMENTS


def test_every_instrument_has_its_card_on_the_page() -> None:
    page = instruments.cards()
    for name, card in INSTRUMENTS.items():
        text = page.split(f"`{name}`\n")[1].split("\n\n")[0].lower()
        for part in (card.measures, card.values, card.model, card.biases, card.needs):
            assert part
            assert part.lower() in text


def test_what_was_measured_stands_on_the_page() -> None:
    parts = instruments.parts()
    assert parts["refusal_agreement"].count("\n| ") >= 5
    assert 'alt="Calibration plot' in parts["harmfulness_agreement"]
