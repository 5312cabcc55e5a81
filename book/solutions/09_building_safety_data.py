"""Chapter 9: what a row takes, what two readers decide alike, and what neither of them saw."""

from math import ceil, floor

import pandas as pd

from safetune_utils.teaching.sealed import exercise

FUNNEL = "results/published/pocket/09_building_safety_data-drafting.csv"
A, B = "recorded/review_answers_a.json#decisions", "recorded/review_answers_b.json#decisions"


@exercise(
    title="How many must be asked?",
    difficulty=1,
    minutes=10,
    predict="Of 36 questions some end as finished rows. At this rate, how many would have to be asked for"
    " 200?",
    given={"funnel": FUNNEL},
    again={},
    # 16 of 40: what is asked for comes out even.
    changes={
        "funnel": [
            {"where": {"rows": 36}, "set": {"rows": 40}},
            {"where": {"rows": 16}, "set": {"rows": 20}},
            {"where": {"rows": 15}, "set": {"rows": 18}},
            {"where": {"rows": 14}, "set": {"rows": 16}},
        ]
    },
    note="Then multiply by the minutes a reader takes for each draft: that is the price, and not the tokens.",
)
def questions_needed(funnel: pd.DataFrame) -> int:
    """If as large a share of the questions ends as finished rows as it did here, what is the smallest
    number of questions that gives at least 200 finished rows?"""
    return ceil(200 * funnel["rows"].iloc[0] / funnel["rows"].iloc[-1])


@questions_needed.wrong(
    "it was rounded down",
    hint="One question too few gives 199 rows and a bit.",
)
def _(funnel):
    return floor(200 * funnel["rows"].iloc[0] / funnel["rows"].iloc[-1])


@questions_needed.wrong(
    "one was added, also where it comes out even",
    hint="Where the division leaves nothing over, no further question is needed. `ceil` sees to that.",
)
def _(funnel):
    return floor(200 * funnel["rows"].iloc[0] / funnel["rows"].iloc[-1]) + 1


@questions_needed.wrong(
    "200 was multiplied by the share that is finished",
    hint="That is how many rows 200 questions give. Turn it round: divide by the share.",
)
def _(funnel):
    return ceil(200 * funnel["rows"].iloc[-1] / funnel["rows"].iloc[0])


@questions_needed.wrong(
    "it was divided by what the last step lets through",
    hint="Most is lost before the last step. Which share of the questions *asked* ends as a row?",
)
def _(funnel):
    return ceil(200 * funnel["rows"].iloc[-2] / funnel["rows"].iloc[-1])


@questions_needed.wrong(
    "as many were added as were lost here",
    hint="More questions lose more rows. The share stays, not the number lost.",
)
def _(funnel):
    return 200 + int(funnel["rows"].iloc[0] - funnel["rows"].iloc[-1])


@exercise(
    title="Two readers, one fate",
    difficulty=2,
    minutes=20,
    predict="Two readers went over the same 36 drafts. On what share of them do both let the draft stand"
    " or both reject it?",
    given={"a": A, "b": B},
    changes={"a": [{"where": {"decision": "edit"}, "set": {"decision": "accept"}}]},
    share=True,
    note="An edit keeps a draft, an accept too. What counts as agreement is decided before it is counted.",
)
def same_fate(a: pd.DataFrame, b: pd.DataFrame) -> float:
    """Each table has a `decision` for a draft `id`: *accept* and *edit* let it stand (an edit mends it
    first), *reject* does not. Of the drafts that both readers decided on, on what share do they agree
    whether it stands?"""
    both = a.merge(b, on="id")
    return ((both["decision_x"] == "reject") == (both["decision_y"] == "reject")).mean()


@same_fate.wrong(
    "the decisions were compared row by row, and not draft by draft",
    hint="A reader works in an order of his own, and may leave drafts out. Put the rows together by `id`.",
)
def _(a, b):
    n = min(len(a), len(b))
    return (a["decision"].eq("reject").to_numpy()[:n] == b["decision"].eq("reject").to_numpy()[:n]).mean()


@same_fate.wrong(
    "only the drafts that both let stand were counted",
    hint="To reject together is to agree, too.",
)
def _(a, b):
    both = a.merge(b, on="id")
    return ((both["decision_x"] != "reject") & (both["decision_y"] != "reject")).mean()


@same_fate.wrong(
    "an accept and an edit were taken for different fates",
    hint="Both let the draft stand. Ask of each decision only whether it rejects.",
)
def _(a, b):
    both = a.merge(b, on="id")
    return (both["decision_x"] == both["decision_y"]).mean()


@same_fate.wrong(
    "the texts were compared",
    hint="Two readers mend a draft in different words and agree that it can be mended.",
)
def _(a, b):
    both = a.merge(b, on="id")
    return (both["text_x"] == both["text_y"]).mean()


@exercise(
    title="What neither of them saw",
    difficulty=2,
    minutes=15,
    predict="Two readers reject drafts, each alone. How many bad drafts, do you think, did both of them let"
    " stand?",
    given={"a": A, "b": B},
    note="The method of those who count fish by marking them. It supposes that one reader's finds tell"
    " nothing of the other's; where both have the same blind spot, more was missed. These two were language"
    " models.",
)
def missed_by_both(a: pd.DataFrame, b: pd.DataFrame) -> float:
    """Each table has a `decision` for a draft `id`; *reject* is a bad draft found. On the drafts that both
    readers decided on, count those that only `a` rejected, those that only `b` did, and those that both
    did. If one reader's finds tell nothing of the other's, the bad drafts that *neither* rejected are
    about only a · only b / both. Give that number."""
    only_a, only_b, found_by_both, _ = _found(a, b)
    return only_a * only_b / found_by_both


def _found(a, b):
    both = a.merge(b, on="id")
    x, y = both["decision_x"] == "reject", both["decision_y"] == "reject"
    return (x & ~y).sum(), (y & ~x).sum(), (x & y).sum(), len(both)


@missed_by_both.wrong(
    "all bad drafts were estimated, those that were found too",
    hint="That is a's finds times b's finds over those of both: how many there are in all. Take off those"
    " that somebody found.",
)
def _(a, b):
    only_a, only_b, both, _ = _found(a, b)
    return (only_a + both) * (only_b + both) / both


@missed_by_both.wrong(
    "the drafts that one of the two rejected were counted",
    hint="Those were seen by somebody. What is asked of is what nobody saw.",
)
def _(a, b):
    only_a, only_b, _, _ = _found(a, b)
    return float(only_a + only_b)


@missed_by_both.wrong(
    "it was divided by all drafts",
    hint="What b finds among a's finds tells how much b finds at all. So below the line stand the drafts that"
    " both rejected.",
)
def _(a, b):
    only_a, only_b, _, n = _found(a, b)
    return only_a * only_b / n
