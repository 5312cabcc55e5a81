"""The instruments' page: every card, and what was measured."""

from __future__ import annotations

from html_tables import parsed, rows_of

from safetune_utils.book.generated import instruments
from safetune_utils.scoring.instruments import INSTRUMENTS


def test_every_instrument_has_its_card_on_the_page() -> None:
    page = parsed(instruments.cards())
    for name, card in INSTRUMENTS.items():
        (head,) = [head for head in page.select("dt") if head.get_text() == name]
        text = head.find_next("dd").get_text().lower()
        for part in (card.measures, card.values, card.model, card.biases, card.needs):
            assert part
            assert part.lower().replace("`", "") in text


def test_what_was_measured_stands_on_the_page() -> None:
    parts = instruments.parts()
    assert len(rows_of(parts["refusal_agreement"])) > 5
    assert 'aria-label="Calibration plot' in parts["harmfulness_agreement"]
