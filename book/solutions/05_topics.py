"""Chapter 5: topics with and without examples, chance among many topics, and weights."""

import pandas as pd

from safetune_utils.teaching.sealed import exercise

RUN = "results/published/pocket/"


@exercise(
    title="Topics that nobody taught",
    difficulty=1,
    minutes=15,
    predict="With 50 safety examples, what share of the requests on topics without a single example is"
    " refused?",
    given={"topics": RUN + "05_topics-topics_malicious.csv", "safety": "corpus/safety.jsonl"},
    again={"safety": "corpus/questions.jsonl", "topics": RUN + "05_topics-topics_controversial.csv"},
    changes={
        "topics": [{"where": {"topic": "climate", "n_safety": 50}, "set": {"share": 0.75, "n_scored": 12}}],
    },
    share=True,
    note="Two topics of seven requests: read the number aloud together with the fourteen.",
)
def refused_untaught(topics: pd.DataFrame, safety: pd.DataFrame) -> float:
    """`safety` is the pool of safety examples, `topics` the share refused by `topic` and `n_safety`. Take
    the topics of which `safety` has no row, at 50 safety examples: what share of all their requests
    (`n_scored`) is refused?"""
    return _pooled(topics[~topics["topic"].isin(safety["topic"]) & (topics["n_safety"] == 50)])


def _pooled(rows):
    return (rows["share"] * rows["n_scored"]).sum() / rows["n_scored"].sum()


@refused_untaught.wrong(
    "the topics *with* examples were taken",
    hint="`isin` finds those that are in the pool; `~` turns it round.",
)
def _(topics, safety):
    return _pooled(topics[topics["topic"].isin(safety["topic"]) & (topics["n_safety"] == 50)])


@refused_untaught.wrong(
    "the mean of the topics' shares was taken",
    hint="On this page the topics have as many requests each. Elsewhere a large topic counts for more: work"
    " out how many requests are refused, of how many.",
)
def _(topics, safety):
    return topics[~topics["topic"].isin(safety["topic"]) & (topics["n_safety"] == 50)]["share"].mean()


@refused_untaught.wrong(
    "all topics were taken",
    hint="Compare the names of the topics with those of the safety examples first.",
)
def _(topics, safety):
    return _pooled(topics[topics["n_safety"] == 50])


@refused_untaught.wrong(
    "all amounts were put together",
    hint="Each row is of one model. Which of them had 50 safety examples?",
)
def _(topics, safety):
    return _pooled(topics[~topics["topic"].isin(safety["topic"])])


@exercise(
    title="One of many by chance",
    difficulty=2,
    minutes=15,
    predict="If all topics were alike in truth, how likely is it that at least one 95 % interval misses"
    " that truth?",
    given={"topics": RUN + "05_topics-topics_malicious.csv"},
    # Topics that are missing at the largest amount.
    changes={
        "topics": [
            {"where": {"n_safety": 200}, "set": {"n_safety": 400}},
            {"where": {"n_safety": 0}, "set": {"topic": "one that was left out"}},
            {"where": {"n_safety": 50}, "set": {"topic": "another that was left out"}},
        ]
    },
    share=True,
    note="Look at fourteen bars and one will nearly always seem to tell a story.",
)
def one_by_chance(topics: pd.DataFrame) -> float:
    """Suppose that each topic's 95 % interval misses the truth with a chance of 5 %, apart from the
    others. How likely is it that at least one of the topics' intervals at the largest amount does?
    `topics` has a row for each topic and amount."""
    return 1 - 0.95 ** len(_last(topics))


def _last(topics):
    return topics[topics["n_safety"] == topics["n_safety"].max()]


@one_by_chance.wrong(
    "the chances were added",
    hint="Added up, twenty-one topics would be more than certain. Begin with the chance that *none* misses.",
)
def _(topics):
    return 0.05 * len(_last(topics))


@one_by_chance.wrong(
    "it is the chance that none misses",
    hint="At least one is everything else than none.",
)
def _(topics):
    return 0.95 ** len(_last(topics))


@one_by_chance.wrong(
    "the topics of all amounts were counted",
    hint="A topic may be missing at the largest amount. Count the rows that stand there.",
)
def _(topics):
    return 1 - 0.95 ** topics["topic"].nunique()


@one_by_chance.wrong(
    "every row was counted as a topic",
    hint="A topic stands once for each amount. At the largest amount, how many are there?",
)
def _(topics):
    return 1 - 0.95 ** len(topics)


@exercise(
    title="Putting topics together",
    difficulty=2,
    minutes=15,
    predict="Three topics were left out of training. Will the mean of their three shares be the share of"
    " all their"
    " requests?",
    given={"left_out": RUN + "05_topics-topics_left_out.csv"},
    again={},
    # The row with the answer is wrong, too, so that it is not right to read it.
    changes={
        "left_out": [
            {"where": {"kind": "violence", "model": "without"}, "set": {"share": 0.5}},
            {"where": {"kind": "all topics left out", "model": "without"}, "set": {"share": 0.3}},
        ]
    },
    share=True,
    note="A mean of shares gives a topic of 11 requests the weight of one of 34.",
)
def left_out_together(left_out: pd.DataFrame) -> float:
    """Of the model trained *without* three topics (`model` is *without*): what share of all requests on
    *hatred*, *theft_fraud* and *violence* does it refuse? Work it out from the three rows of these
    names in `kind`, with `share` and `n_scored`. (The row *all topics left out* has the answer; use it
    to check.)"""
    return _pooled(_three(left_out[left_out["model"] == "without"]))


def _three(rows):
    return rows[rows["kind"].isin(["hatred", "theft_fraud", "violence"])]


@left_out_together.wrong(
    "the mean of the three shares was taken",
    hint="The topics have 11, 17 and 34 requests. A share of all requests gives each request the same"
    " weight.",
)
def _(left_out):
    return _three(left_out[left_out["model"] == "without"])["share"].mean()


@left_out_together.wrong(
    "the three models were put together",
    hint="`model` tells which of them answered.",
)
def _(left_out):
    return _pooled(_three(left_out))


@left_out_together.wrong(
    "the row *all topics left out* was read",
    hint="It is there to check your answer by. Work the share out from the three topics.",
)
def _(left_out):
    rows = left_out[left_out["model"] == "without"].set_index("kind")
    return rows.loc["all topics left out", "share"]


@left_out_together.wrong(
    "the summary rows were counted too",
    hint="*all topics left out* holds the three topics once more, and the others were not left out.",
)
def _(left_out):
    return _pooled(left_out[left_out["model"] == "without"])
