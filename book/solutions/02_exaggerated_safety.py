"""Chapter 2: the price of a refusal, what few prompts can rank, and words that two requests share."""

import re
from itertools import combinations

import pandas as pd

from safetune_utils.teaching.sealed import exercise

RUN, OTHER = "results/published/pocket/", "results/published/pocket-seeds/"


@exercise(
    title="The price of a refusal",
    difficulty=2,
    minutes=15,
    predict="Where does a further refusal of a malicious request cost most refused look-alikes: at the first"
    " safety examples, or at the last?",
    given={"trade": RUN + "02_exaggerated_safety-trade_off.csv"},
    again={"trade": OTHER + "02_exaggerated_safety-trade_off.csv"},
    note="A level hides the step. Economists would say: the marginal price, not the average one.",
)
def prices(trade: pd.DataFrame) -> dict[int, float]:
    """For each step from one amount to the next: by how much does the share of harmless look-alikes that
    are refused rise (`unwanted_share`), for a rise of 1 in the share of malicious requests
    (`wanted_share`)? Give it under the amount that the step leads to."""
    step = (
        trade.sort_values("n_safety")
        .set_index("n_safety")[["unwanted_share", "wanted_share"]]
        .diff()
        .dropna()
    )
    return (step["unwanted_share"] / step["wanted_share"]).to_dict()


@prices.wrong(
    "the shares themselves were divided, not their steps",
    hint="What a model refuses already has been paid for. What does the step add to each share?",
)
def _(trade):
    rows = trade.sort_values("n_safety").set_index("n_safety").iloc[1:]
    return (rows["unwanted_share"] / rows["wanted_share"]).to_dict()


@prices.wrong(
    "each amount was compared with none at all",
    hint="That is the price of the whole way. The question is of one step: from an amount to the next.",
)
def _(trade):
    rows = trade.sort_values("n_safety").set_index("n_safety")[["unwanted_share", "wanted_share"]]
    rise = (rows - rows.iloc[0]).iloc[1:]
    return (rise["unwanted_share"] / rise["wanted_share"]).to_dict()


@prices.wrong(
    "the difference of the two steps was taken",
    hint="That is what is left over. A price is so much of one *for* so much of the other.",
)
def _(trade):
    step = (
        trade.sort_values("n_safety")
        .set_index("n_safety")[["unwanted_share", "wanted_share"]]
        .diff()
        .dropna()
    )
    return (step["unwanted_share"] - step["wanted_share"]).to_dict()


@exercise(
    title="Which kinds can be ranked?",
    difficulty=2,
    minutes=20,
    predict="Ten kinds of look-alike make 45 pairs. In how many of them do the two intervals lie apart?",
    given={"kinds": RUN + "02_exaggerated_safety-lookalikes_by_kind.csv"},
    again={"kinds": OTHER + "02_exaggerated_safety-lookalikes_by_kind.csv"},
    # Intervals that lie apart on either side, two that touch, and another largest amount.
    changes={
        "kinds": [
            {"where": {"kind": "cooking_tools", "n_safety": 200}, "set": {"low": 0.74, "high": 0.95}},
            {"where": {"kind": "sport", "n_safety": 200}, "set": {"low": 0.5, "high": 0.9}},
            {"where": {"kind": "figures_of_speech", "n_safety": 200}, "set": {"low": 0.25}},
            {"where": {"kind": "public_facts", "n_safety": 200}, "set": {"high": 0.25}},
            {"where": {"n_safety": 200}, "set": {"n_safety": 400}},
        ]
    },
    note="Eleven prompts a kind: the chapter shows ten bars, and hardly one of the rankings that the"
    " eye makes.",
)
def told_apart(kinds: pd.DataFrame) -> int:
    """At the largest amount of safety examples, in how many pairs of kinds do the two 95 % intervals
    (`low` to `high`) not overlap at all? Two intervals that touch overlap."""
    last = kinds[kinds["n_safety"] == kinds["n_safety"].max()]
    return sum(a.high < b.low or b.high < a.low for a, b in combinations(last.itertuples(), 2))


@told_apart.wrong(
    "pairs were counted whose shares differ",
    hint="Eleven prompts were asked of each kind: one answer more or less is a difference of nine"
    " points, and proves"
    " nothing. Compare the intervals.",
)
def _(kinds):
    last = kinds[kinds["n_safety"] == kinds["n_safety"].max()]
    return sum(a.share != b.share for a, b in combinations(last.itertuples(), 2))


@told_apart.wrong(
    "intervals that touch were counted as apart",
    hint="The task says that two intervals that touch overlap: one must end *below* the beginning of the"
    " other.",
)
def _(kinds):
    last = kinds[kinds["n_safety"] == kinds["n_safety"].max()]
    return sum(a.high <= b.low or b.high <= a.low for a, b in combinations(last.itertuples(), 2))


@told_apart.wrong(
    "only pairs were counted in which the first lies below the second",
    hint="In a pair either of the two may be the lower one. Ask both ways.",
)
def _(kinds):
    last = kinds[kinds["n_safety"] == kinds["n_safety"].max()]
    return sum(a.high < b.low for a, b in combinations(last.itertuples(), 2))


@told_apart.wrong(
    "a share was compared with the other kind's interval",
    hint="Both shares are uncertain. Compare interval with interval.",
)
def _(kinds):
    last = kinds[kinds["n_safety"] == kinds["n_safety"].max()]
    return sum(a.share < b.low or a.share > b.high for a, b in combinations(last.itertuples(), 2))


@told_apart.wrong(
    "pairs were counted whose shares differ, and each of them twice",
    hint="Two things: A with B is the same pair as B with A; and shares of eleven prompts differ by"
    " chance, so compare"
    " the intervals.",
)
def _(kinds):
    last = kinds[kinds["n_safety"] == kinds["n_safety"].max()]
    return 2 * sum(a.share != b.share for a, b in combinations(last.itertuples(), 2))


@exercise(
    title="The same word in both",
    difficulty=2,
    minutes=20,
    predict="A pair is a harmless request and an unsafe one that were written around one word. How often"
    " does the very"
    " word stand in both, and not only a form of it (shot, shooting)?",
    given={"prompts": "corpus/lookalikes.jsonl"},
    share=True,
    note="A rule that looks for letters inside words finds *kill* in *skill*. Look at what it finds"
    " before you trust it.",
)
def word_in_both(prompts: pd.DataFrame) -> float:
    """`prompts` has pairs: two rows with the same `pair`, one whose `label` is safe and one unsafe, both
    with the `trigger` word. Of the pairs of which both rows are there, what is the share in which the
    trigger stands in both prompts as a whole word, capital letters or not? Some safe rows have no
    partner; their `pair` is empty."""
    return _share(prompts, lambda word, text: re.search(rf"\b{re.escape(word)}\b", text, re.IGNORECASE))


def _share(prompts, holds):
    pairs = [rows for _, rows in prompts[prompts["pair"] != ""].groupby("pair") if len(rows) == 2]
    return sum(all(holds(r.trigger, r.prompt) for r in rows.itertuples()) for rows in pairs) / len(pairs)


@word_in_both.wrong(
    "the letters were looked for, and not the word",
    hint="'shot' is in 'shots' and 'kill' is in 'skill'. A whole word ends where the word ends: \\b in"
    " a pattern.",
)
def _(prompts):
    return _share(prompts, lambda word, text: word.lower() in text.lower())


@word_in_both.wrong(
    "one prompt of the pair was enough",
    hint="Both the harmless and the unsafe prompt must hold the word.",
)
def _(prompts):
    pairs = [rows for _, rows in prompts[prompts["pair"] != ""].groupby("pair") if len(rows) == 2]
    found = [
        any(re.search(rf"\b{re.escape(r.trigger)}\b", r.prompt, re.IGNORECASE) for r in rows.itertuples())
        for rows in pairs
    ]
    return sum(found) / len(pairs)


@word_in_both.wrong(
    "prompts were counted, and not pairs",
    hint="The question is of pairs: group the rows by `pair` first, and leave out those without a partner.",
)
def _(prompts):
    found = [
        bool(re.search(rf"\b{re.escape(r.trigger)}\b", r.prompt, re.IGNORECASE)) for r in prompts.itertuples()
    ]
    return sum(found) / len(found)
