"""Chapter 10: what no other choice beats, many comparisons, and drawing evenly."""

from math import erfc, sqrt

import pandas as pd

from safetune_utils.teaching.sealed import exercise

RUN, OTHER = "results/published/pocket/", "results/published/paper-sample/"
FRONTIER = "10_choosing_safety_data-choosing_frontier.csv"


@exercise(
    title="Not beaten by any",
    difficulty=2,
    minutes=20,
    predict="Eight ways to choose. How many of them are beaten by no other on both axes?",
    given={"variants": RUN + FRONTIER},
    again={"variants": OTHER + FRONTIER},
    # Two that are alike, and ties on either axis.
    changes={
        "variants": [
            {"where": {"variant": "random"}, "set": {"wanted_share": 0.2, "unwanted_share": 0.04}},
            {"where": {"variant": "guard alone"}, "set": {"wanted_share": 0.2, "unwanted_share": 0.04}},
            {"where": {"variant": "refusals first"}, "set": {"wanted_share": 0.5, "unwanted_share": 0.1}},
            {"where": {"variant": "tuned after"}, "set": {"wanted_share": 0.5, "unwanted_share": 0.12}},
            {"where": {"variant": "hardest first"}, "set": {"wanted_share": 0.4, "unwanted_share": 0.1}},
        ]
    },
    note="To lie on the frontier is no praise by itself: 'no safety data' lies there too, at its lower end.",
)
def frontier(variants: pd.DataFrame) -> set[str]:
    """A variant beats another if it refuses at least as much of what should be refused (`wanted_share`)
    and at most as much of what should not (`unwanted_share`), and is strictly better in one of the two.
    Which variants (`variant`) are beaten by none?"""
    rows = list(variants.itertuples())
    return {r.variant for r in rows if not any(_beats(o, r) for o in rows)}


def _beats(a, b):
    no_worse = a.wanted_share >= b.wanted_share and a.unwanted_share <= b.unwanted_share
    return no_worse and (a.wanted_share, a.unwanted_share) != (b.wanted_share, b.unwanted_share)


@frontier.wrong(
    "less was taken to be better on both axes",
    hint="To refuse malicious requests is wanted: on that axis more is better.",
)
def _(variants):
    rows = list(variants.itertuples())
    return {
        r.variant
        for r in rows
        if not any(o.wanted_share < r.wanted_share and o.unwanted_share <= r.unwanted_share for o in rows)
    }


def _unbeaten(variants, beats):
    rows = list(variants.itertuples())
    return {r.variant for r in rows if not any(beats(o, r) for o in rows)}


@frontier.wrong(
    "only what is better on both axes was taken to beat another",
    hint="To be equal on one axis and better on the other is enough.",
)
def _(variants):
    return _unbeaten(
        variants,
        lambda a, b: a.wanted_share > b.wanted_share and a.unwanted_share < b.unwanted_share,
    )


@frontier.wrong(
    "a variant with as large a `wanted_share` was taken to beat nothing",
    hint="With equal wanted refusals, the one with fewer unwanted refusals beats the other.",
)
def _(variants):
    return _unbeaten(
        variants,
        lambda a, b: a.wanted_share > b.wanted_share and a.unwanted_share <= b.unwanted_share,
    )


@frontier.wrong(
    "a variant with as large an `unwanted_share` was taken to beat nothing",
    hint="With equal unwanted refusals, the one with more wanted refusals beats the other.",
)
def _(variants):
    return _unbeaten(
        variants,
        lambda a, b: a.wanted_share >= b.wanted_share and a.unwanted_share < b.unwanted_share,
    )


@frontier.wrong(
    "two variants that are alike on both axes beat one another",
    hint="The task asks that one be strictly better in one of the two.",
)
def _(variants):
    return _unbeaten(
        variants,
        lambda a, b: (
            a.variant != b.variant
            and a.wanted_share >= b.wanted_share
            and a.unwanted_share <= b.unwanted_share
        ),
    )


@frontier.wrong(
    "the one with the most wanted refusals was named",
    hint="Another may refuse a little less of the malicious requests and far less of the harmless ones.",
)
def _(variants):
    return set(variants.nlargest(1, "wanted_share")["variant"])


@frontier.wrong(
    "those were named that are better than *random* on one axis",
    hint="*Random* is one of the eight and no measure of the others. Compare each with every other.",
)
def _(variants):
    base = variants.set_index("variant").loc["random"]
    better = (variants["wanted_share"] > base["wanted_share"]) | (
        variants["unwanted_share"] < base["unwanted_share"]
    )
    return set(variants[better]["variant"])


@exercise(
    title="Many comparisons",
    difficulty=3,
    minutes=30,
    predict="Seven variants are compared with *random*. How much larger does a p-value become when all"
    " seven are thought of?",
    given={"variants": RUN + FRONTIER},
    again={"variants": OTHER + FRONTIER},
    note="The chapter pairs the same prompts, which these totals cannot; so its p-values are other ones.",
)
def corrected_p_values(variants: pd.DataFrame) -> dict[str, float]:
    """Compare the `wanted_share` of each variant with that of *random*: z = |p − q| / √(m(1−m)(1/n +
    1/k)), where n and k are the two `wanted_n_scored` and m is the share of both together; the p-value
    is `math.erfc(z / sqrt(2))`. Then correct by Holm's method: in rising order, the first is multiplied
    by the number of comparisons, the next by one less and so on; none is below the one before it, none
    above 1."""
    found, so_far = {}, 0.0
    p_values = _p_values(variants)
    for place, (name, p) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        so_far = max(so_far, min(1.0, p * (len(p_values) - place)))
        found[name] = so_far
    return found


def _p_values(variants):
    base = variants.set_index("variant").loc["random"]
    found = {}
    for row in variants[variants["variant"] != "random"].itertuples():
        n, k = row.wanted_n_scored, base["wanted_n_scored"]
        m = (row.wanted_share * n + base["wanted_share"] * k) / (n + k)
        z = abs(row.wanted_share - base["wanted_share"]) / sqrt(m * (1 - m) * (1 / n + 1 / k))
        found[row.variant] = erfc(z / sqrt(2))
    return found


@corrected_p_values.wrong(
    "nothing was corrected",
    hint="Among seven comparisons one looks real by chance in three books of ten.",
)
def _(variants):
    return _p_values(variants)


@corrected_p_values.wrong(
    "each was multiplied by the number of comparisons",
    hint="That is Bonferroni's way, and stricter than need be. Holm's multiplies the second by one less.",
)
def _(variants):
    p_values = _p_values(variants)
    return {name: min(1.0, p * len(p_values)) for name, p in p_values.items()}


@corrected_p_values.wrong(
    "the largest p-value was multiplied by the most",
    hint="The *smallest* must stand the most: it is multiplied by the number of comparisons.",
)
def _(variants):
    p_values = sorted(_p_values(variants).items(), key=lambda item: item[1])
    return {name: min(1.0, p * (place + 1)) for place, (name, p) in enumerate(p_values)}


@exercise(
    title="One of each in turn",
    difficulty=2,
    minutes=20,
    predict="Fifty examples are drawn from twelve topics, one of each in turn. How many does each topic"
    " give?",
    given={"pool": "corpus/safety.jsonl"},
    # A topic with three rows or fewer, so that it runs out.
    changes={
        "pool": [
            {"where": {"id": name}, "set": {"topic": "gossip"}}
            for name in ("safety-040", "safety-090", "safety-140")
        ]
    },
    note="The pool of this book is even already, so 'every topic' can do little. Ask the class what a"
    " gathered pool looks like.",
)
def drawn_in_turn(pool: pd.DataFrame) -> dict[str, int]:
    """Draw 50 rows of `pool`: one of each `topic` in turn, the topics in the order in which they first
    stand in the pool, and again from the first, as long as a topic has rows. How many rows does each
    topic give?"""
    left = pool["topic"].value_counts().to_dict()
    counts = dict.fromkeys(pool["topic"].unique(), 0)
    while sum(counts.values()) < 50:
        for topic in counts:
            if sum(counts.values()) < 50 and counts[topic] < left[topic]:
                counts[topic] += 1
    return counts


@drawn_in_turn.wrong(
    "the first 50 rows were taken",
    hint="The pool may lie in any order, so the first rows are those of a few topics or of all. Go"
    " topic by topic.",
)
def _(pool):
    first = pool.head(50)["topic"]
    return {topic: int((first == topic).sum()) for topic in pool["topic"].unique()}


@drawn_in_turn.wrong(
    "no topic was taken to run out",
    hint="Here each topic has rows enough. Elsewhere one may have fewer than its turns: then the others give"
    " more.",
)
def _(pool):
    topics = pool["topic"].unique()
    return {topic: 50 // len(topics) + (place < 50 % len(topics)) for place, topic in enumerate(topics)}


@drawn_in_turn.wrong(
    "the rest of the division was dropped",
    hint="Fifty is not a multiple of twelve: the last round stops in the middle.",
)
def _(pool):
    return dict.fromkeys(pool["topic"].unique(), 50 // pool["topic"].nunique())


@drawn_in_turn.wrong(
    "the topics were taken in the order of the alphabet",
    hint="Who comes twice more often is decided by the order. The task says which: as they first stand"
    " in the pool.",
)
def _(pool):
    topics = sorted(pool["topic"].unique())
    return {topic: 50 // len(topics) + (place < 50 % len(topics)) for place, topic in enumerate(topics)}
