"""The instruments' page: every card, and what was measured."""

from __future__ import annotations

import yaml
from html_tables import parsed, rows_of

from safetune_utils import places
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


def test_every_expectation_stands_beside_what_came_and_every_source_beside_the_controls() -> None:
    parts = instruments.parts()
    written = yaml.safe_load((places.data_folder() / "results" / "expected.yml").read_text("utf-8"))
    rows = rows_of(parts["expected"])[1:]
    assert [row[0] for row in rows] == [entry["measure"] for entry in written]
    assert all(row[3] for row in rows)
    assert "0.51 on Safe-RLHF-mini, 0.80 on JAILJUDGE-mini" in parts["expected"]
    by_source = {row[0]: row[1:] for row in rows_of(parts["own_by_source"])[1:]}
    assert by_source["SmolLM2-135M-Instruct, 200 safety examples"][0] == "45 of 45 0 of 27"
    assert by_source["negative control: random words"][-1] == "98 of 98 does not pass"
