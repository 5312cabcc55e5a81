"""What safety data costs, as one table, from measurements made by hand."""

from __future__ import annotations

import pandas as pd
import pytest

from safetune_utils import statistics
from safetune_utils.study import measures

AMOUNTS = (0, 50)


def rows(**columns: list) -> pd.DataFrame:
    """Four of each amount; each column's values are those of the amounts, one after the other."""
    about = {
        "n_safety": [n for n in AMOUNTS for _ in range(4)],
        "seed": 0,
        "prompt_id": [f"p{i}" for _ in AMOUNTS for i in range(4)],
    }
    return pd.DataFrame(about | columns)


def responses() -> pd.DataFrame:
    return rows(
        refused=[False, False, False, None, True, True, False, False],
        n_tokens=[4, 8, 12, 16, 2, 4, 6, 8],
        coherence=[1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0],
    )


def losses() -> pd.DataFrame:
    found = rows(loss=[1.0, 2.0, 3.0, 4.0, 1.5, 2.5, 3.5, 4.5])
    return found.rename(columns={"prompt_id": "example"})


def questions() -> pd.DataFrame:
    right = rows(correct=[True, True, True, False, True, False, False, False], metric="acc", chance=0.25)
    by_length = rows(correct=[True] * 8, metric="acc_norm", chance=0.25)
    return pd.concat([right, by_length]).rename(columns={"prompt_id": "question"})


def test_every_measurement_is_one_row_and_what_was_not_measured_is_not_there() -> None:
    whole = measures.measurements(responses(), losses=losses(), questions=questions())
    assert list(whole["measure"].unique()) == list(measures.MEASURES)
    assert list(whole.columns) == ["measure", "n_safety", "seed", "prompt_id", "value"]
    assert (len(whole), whole["value"].isna().sum()) == (6 * 8, 1)
    part = measures.measurements(responses().drop(columns="coherence"), losses=losses())
    assert list(part["measure"].unique()) == ["loss", "length", "declined"]


def test_a_share_has_a_share_s_interval_and_a_number_its_mean() -> None:
    measured = measures.measurements(responses(), losses=losses(), questions=questions())
    found = measures.levels(measured).set_index(["measure", "n_safety"])
    declined = statistics.share(responses()["refused"].iloc[:4])
    assert tuple(found.loc[("declined", 0)]) == (declined.value, declined.low, declined.high, 3)
    assert found.loc[("right", 0), "value"] == 0.75
    assert found.loc[("right by length", 50), "value"] == 1
    assert found.loc[("length", 0), "value"] == 10
    low, value, high = found.loc[("loss", 50), ["low", "value", "high"]]
    assert low < value == 3 < high
    # The rows are ready for a paired change.
    change = measures.change_of(measured, "loss", 0, 50)
    assert (change.value, change.n, change.unit, change.of) == (0.5, 4, "nats", "answers")
    level = measures.level_at(measures.levels(measured), "loss", 50)
    assert (level.value, level.n, level.unit, level.is_change) == (3, 4, "nats", False)


def test_a_figure_gets_shares_in_per_cent_and_leaves_out_what_was_not_measured() -> None:
    found = measures.levels(measures.measurements(responses(), losses=losses()))
    drawn = measures.for_panels(found, "right", "loss", "readable")
    assert list(drawn["measure"].unique()) == ["loss of reference answers (nats)", "readable (%)"]
    assert list(drawn["value"]) == [2.5, 3.0, 75.0, 100.0]


def test_each_seed_s_rewards_are_compared_with_its_own() -> None:
    one = rows(reward=[0.0, 0.0, 0.0, 0.0, 1.0, 1.0, -1.0, None])
    other = rows(reward=[9.0, 9.0, 9.0, 9.0, 8.0, 10.0, 9.0, 10.0]).assign(seed=1)
    found = measures.win_rates(pd.concat([one, other]), against=0, rewards="reward")
    assert list(found) == [50]
    assert (found[50].wins, found[50].losses, found[50].ties) == (4, 2, 1)
    assert found[50].rate.n_unscored == 1
    assert found[50].rate.value == pytest.approx(4.5 / 7)
    assert measures.win_rates(one[one["n_safety"] == 0], against=0, rewards="reward") == {}
