"""Chapter 7: what becomes of ties, agreement beyond chance, and whether a preference is more than chance."""

from math import comb

import pandas as pd

from safetune_utils.teaching.sealed import exercise

TALLIES = "results/published/pocket/07_preference_study-paper_win_rates.csv"


@exercise(
    title="What becomes of a tie",
    difficulty=1,
    minutes=10,
    predict="On ordinary prompts 42 of 50 pairs were 'equally good', 1 better, 7 worse. Is the win rate"
    " near 0.13, 0.44 or"
    " 0.86?",
    given={"tallies": TALLIES},
    note="'Win rate 0.13' and 'win rate 0.44' can be of the same study. Always ask what became of the ties.",
)
def win_rates(tallies: pd.DataFrame) -> dict[str, float]:
    """For *annotator 2* and 500 safety examples, give the win rate of the tuned model (`first_better`) on
    each `prompt_set`: wins and half of the ties, over all pairs (`n`). Equally good and equally bad are
    both ties."""
    return {
        row.prompt_set: (row.first_better + _ties(row) / 2) / row.n for row in _rows(tallies).itertuples()
    }


def _rows(tallies):
    return tallies[(tallies["annotator"] == "annotator 2") & (tallies["n_safety"] == 500)]


def _ties(row):
    return row.equally_good + row.equally_bad


@win_rates.wrong(
    "the ties were left out",
    hint="Then 8 of 50 pairs speak for all. The task counts half of a tie as a win, and every pair"
    " below the line.",
)
def _(tallies):
    return {
        r.prompt_set: r.first_better / (r.first_better + r.second_better) for r in _rows(tallies).itertuples()
    }


@win_rates.wrong(
    "a tie was counted as a loss",
    hint="Two equal answers are no defeat: with nothing but ties the win rate should be one half.",
)
def _(tallies):
    return {r.prompt_set: r.first_better / r.n for r in _rows(tallies).itertuples()}


@win_rates.wrong(
    "'equally bad' was not counted as a tie",
    hint="Equally good and equally bad are both ties: there are two columns to add.",
)
def _(tallies):
    return {r.prompt_set: (r.first_better + r.equally_good / 2) / r.n for r in _rows(tallies).itertuples()}


@win_rates.wrong(
    "a tie was counted as a win",
    hint="Then both models would win more than half. Each gets half of a tie.",
)
def _(tallies):
    return {r.prompt_set: (r.first_better + _ties(r)) / r.n for r in _rows(tallies).itertuples()}


@exercise(
    title="Agreement with somebody who always says B",
    difficulty=2,
    minutes=20,
    predict="One of the two stand-ins said 'B' to every pair. Can it agree with the other more than by"
    " chance?",
    given={
        "judge": "recorded/preference/judge.json#decisions",
        "rule": "recorded/preference/rule.json#decisions",
    },
    # On the page one of the two has one choice only, so κ is 0 however the pairs are put together.
    changes={"judge": [{"where": {"id": str(n)}, "set": {"choice": "A"}} for n in range(2, 20, 3)]},
    note="Raw agreement rewards whoever says the commonest word. κ of such a judge is 0, whatever the"
    " other says.",
)
def kappa(judge: pd.DataFrame, rule: pd.DataFrame) -> float:
    """Each table has the `choice` for a pair `id`. On the pairs that both judged, work out Cohen's κ = (o
    − e) / (1 − e): o is the share on which they chose the same, e what chance gives, the sum over the
    choices of the product of their two shares."""
    both = judge.merge(rule, on="id")
    return _kappa(both["choice_x"], both["choice_y"])


def _kappa(a, b):
    same = (a == b).mean()
    chance = sum((a == c).mean() * (b == c).mean() for c in set(a) | set(b))
    return (same - chance) / (1 - chance)


@kappa.wrong(
    "it is the share on which they agree",
    hint="If the other says B in a third of the pairs, somebody who sleeps and says B agrees in a"
    " third. Take that off.",
)
def _(judge, rule):
    both = judge.merge(rule, on="id")
    return (both["choice_x"] == both["choice_y"]).mean()


@kappa.wrong(
    "chance was taken to choose evenly among the four",
    hint="Chance in κ has the habits of the two who judged: how often did each say B?",
)
def _(judge, rule):
    both = judge.merge(rule, on="id")
    return ((both["choice_x"] == both["choice_y"]).mean() - 0.25) / 0.75


@kappa.wrong(
    "the choices were compared row by row, and not pair by pair",
    hint="The two tables are in orders of their own. Put the rows together by `id`.",
)
def _(judge, rule):
    n = min(len(judge), len(rule))
    return _kappa(judge["choice"][:n], rule["choice"][:n])


@kappa.wrong(
    "a pair that one of them did not judge was counted as a choice of its own",
    hint="The judge gave no readable reply to one pair. That is no opinion: keep the pairs that both judged.",
)
def _(judge, rule):
    both = judge.merge(rule, on="id", how="outer").fillna("none")
    return _kappa(both["choice_x"], both["choice_y"])


@exercise(
    title="Is 1 against 7 more than chance?",
    difficulty=3,
    minutes=25,
    predict="Of 50 pairs, 42 are ties, 1 is better and 7 are worse. Is that more than a coin would do?",
    given={"tallies": TALLIES},
    again={},
    changes={
        "tallies": [
            {
                "where": {"annotator": "annotator 2", "n_safety": 500, "prompt_set": "AlpacaEval"},
                "set": {"first_better": 8, "second_better": 2, "equally_good": 40},
            }
        ]
    },
    share=True,
    note="The exact test looks at the eight that are no ties, and says .07: suggestive, and no proof.",
)
def p_value(tallies: pd.DataFrame) -> float:
    """For *annotator 2*, 500 safety examples, the prompts of *AlpacaEval*: leave the ties aside, and say
    how likely a fair coin is to give a result as uneven as this one or more so, to *either* side (an
    exact sign test)."""
    return min(1.0, 2 * _tail(*_decided(tallies)))


def _decided(tallies):
    row = _rows(tallies).set_index("prompt_set").loc["AlpacaEval"]
    return int(row["first_better"]), int(row["second_better"])


def _tail(wins, losses):
    n = wins + losses
    return sum(comb(n, k) for k in range(min(wins, losses) + 1)) / 2**n


@p_value.wrong(
    "one side was counted",
    hint="Before the study, 7 to 1 would have surprised you as much as 1 to 7. Count both.",
)
def _(tallies):
    return _tail(*_decided(tallies))


@p_value.wrong(
    "only this very result was counted",
    hint="Each single result is unlikely. Count those that are as uneven *or more so*: 0 to 8 as well.",
)
def _(tallies):
    wins, losses = _decided(tallies)
    return 2 * comb(wins + losses, wins) / 2 ** (wins + losses)


@p_value.wrong(
    "results with as few wins or fewer were counted, and doubled",
    hint="That is right where the wins are fewer than the losses. Begin with the smaller of the two.",
)
def _(tallies):
    wins, losses = _decided(tallies)
    n = wins + losses
    return min(1.0, 2 * sum(comb(n, k) for k in range(wins + 1)) / 2**n)


@p_value.wrong(
    "half of the ties were given to each side",
    hint="A tie says nothing for either model. Split, the ties drown what the decided pairs say.",
)
def _(tallies):
    row = _rows(tallies).set_index("prompt_set").loc["AlpacaEval"]
    half = int(_ties(row)) // 2
    return min(1.0, 2 * _tail(int(row["first_better"]) + half, int(row["second_better"]) + half))
