"""Chapter 9: what survives, what it takes, and what two readers decide alike."""

from math import ceil, floor

import pandas as pd

from safetune_utils.teaching.sealed import exercise

FUNNEL = "results/published/pocket/09_building_safety_data-drafting.csv"
A, B = "recorded/review_answers_a.json#decisions", "recorded/review_answers_b.json#decisions"


@exercise(
    title="What is left of it",
    difficulty=1,
    minutes=10,
    predict="Of 36 questions asked, what share ends as a finished row?",
    given={"funnel": FUNNEL},
    again={},
    note="Each step alone looks kind: nearly all pass. The product does not.",
)
def finished_share(funnel: pd.DataFrame) -> float:
    """`funnel` has the `rows` that are left after each `step`, in order. Which share of the questions
    asked ends as a finished row?"""
    return funnel["rows"].iloc[-1] / funnel["rows"].iloc[0]


@finished_share.wrong(
    "it was divided by the step before",
    hint="That is what the last step lets through. The question begins at the questions asked.",
)
def _(funnel):
    return funnel["rows"].iloc[-1] / funnel["rows"].iloc[-2]


@finished_share.wrong(
    "it was divided by the answers that stand",
    hint="A rejected draft cost as much as another. What was there at the very beginning?",
)
def _(funnel):
    return funnel["rows"].iloc[-1] / funnel["rows"].iloc[2]


@finished_share.wrong(
    "the mean of what the steps let through was taken",
    hint="Steps follow one another: their shares are multiplied, not averaged.",
)
def _(funnel):
    return (funnel["rows"] / funnel["rows"].shift()).dropna().mean()


@exercise(
    title="How many must be asked?",
    difficulty=1,
    minutes=10,
    predict="At this rate, how many questions would have to be asked for 200 finished rows?",
    given={"funnel": FUNNEL},
    again={},
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
    "200 was multiplied by the share that is finished",
    hint="That is how many rows 200 questions give. Turn it round: divide by the share.",
)
def _(funnel):
    return ceil(200 * funnel["rows"].iloc[-1] / funnel["rows"].iloc[0])


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
    b = b.sort_values("id", ascending=False)  # as they lie in a file that was exported in another order
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
    "the texts were compared",
    hint="Two readers mend a draft in different words and agree that it can be mended.",
)
def _(a, b):
    both = a.merge(b, on="id")
    return (both["text_x"] == both["text_y"]).mean()
