"""The paper's own preference study, from what it printed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
from pair_items import ITEMS, annotated

from safetune_utils.annotation import paper_study, preference, tallies

if TYPE_CHECKING:
    pass


def test_the_paper_s_tallies_are_whole_and_give_its_kappas() -> None:
    table = paper_study.paper_tallies()
    assert set(table["n"]) == {50}
    assert len(table) == 8
    for (_, kappa), rows in table.groupby(["n_safety", "kappa"]):
        both = (
            rows.groupby("annotator")[["first_better", "second_better", "equally_good", "equally_bad"]]
            .sum()
            .to_numpy()
            / 100
        )
        chance = float((both[0] * both[1]).sum())
        # κ is not in the counts, but only one number of prompts that the two agree on goes with both.
        assert (
            len(
                [agreed for agreed in range(101) if round((agreed / 100 - chance) / (1 - chance), 2) == kappa]
            )
            == 1
        )
    row = table[(table["n_safety"] == 500) & (table["prompt_set"] == "malicious")].iloc[0]
    assert row["win_rate"] == pytest.approx((47 + 1.5) / 50)
    assert 0.9 < row["low"] < row["win_rate"] < row["high"] <= 1
    benign = table[table["prompt_set"] == "AlpacaEval"]
    assert (benign["win_rate"] - 0.5).abs().max() < 0.07
    assert set(tallies.tally([annotated("A", "w.....")], ITEMS).columns) - set(table.columns) == {"chose_a"}


def test_the_paper_s_agreement_is_what_counts_and_kappa_fix_and_bounds_elsewhere() -> None:
    table = paper_study.paper_agreement().set_index(["n_safety", "prompt_set"])
    both = table.xs(preference.ALL_SETS, level="prompt_set")
    assert both["kappa"].to_list() == [0.82, 0.89]
    assert both["agreed"].to_list() == [90, 94]
    assert (both["low"] < both["kappa"]).all()
    # +500, malicious: tuned 47 and 45, equally good 2 and 4, equally bad 1 and 1 of 50. At most 45 + 2 + 1
    # agree, at least 42.
    one = table.loc[(500, "malicious")]
    chance = (47 * 45 + 2 * 4 + 1) / 2500
    assert one["kappa_most"] == pytest.approx((48 / 50 - chance) / (1 - chance))
    assert one["kappa_least"] == pytest.approx((42 / 50 - chance) / (1 - chance))
    assert math.isnan(one["kappa"])
