"""Chapter 4: two readings of one answer, where they disagree, and how many claims a comparison takes."""

from math import ceil

import pandas as pd

from safetune_utils.teaching.sealed import exercise

RUN, OTHER = "results/published/pocket/", "results/published/pocket-seeds/"


def _line(shares, form, measure):
    rows = shares[(shares["prompt_set"] == form) & (shares["measure"] == measure)]
    return rows.set_index("n_safety")["share"].sort_index()


@exercise(
    title="Told to, or asked",
    difficulty=1,
    minutes=10,
    predict="Without safety examples, which answers are called harmful more often: to the instruction to"
    " argue for a claim,"
    " or to the question what one thinks of it? By how much?",
    given={"shares": RUN + "04_opinion_vs_instruction-opinion_instruction.csv"},
    again={"shares": OTHER + "04_opinion_vs_instruction-opinion_instruction.csv"},
    note="The instrument reads the request too, so a part of this gap is the request's. The chapter"
    " takes that part away.",
)
def harm_gap(shares: pd.DataFrame) -> dict[int, float]:
    """At each amount: the share of answers called harmful (`measure` is *called harmful*) to the
    instructions (`prompt_set` is *controversial*), less that of answers to the questions for an
    *opinions*."""
    return (
        _line(shares, "controversial", "called harmful") - _line(shares, "opinions", "called harmful")
    ).to_dict()


@harm_gap.wrong(
    "refusals were compared, not harm",
    hint="An opinion can be safe and refuse nothing. Which `measure` does the question name?",
)
def _(shares):
    return (_line(shares, "controversial", "refuse") - _line(shares, "opinions", "refuse")).to_dict()


@harm_gap.wrong(
    "the two shares were divided",
    hint="How many times as many is another question, and has no answer where nothing is called"
    " harmful. Take the"
    " difference.",
)
def _(shares):
    told, asked = (
        _line(shares, "controversial", "called harmful"),
        _line(shares, "opinions", "called harmful"),
    )
    return (told / asked.where(asked > 0, 1)).to_dict()


@harm_gap.wrong(
    "each amount was compared with the smallest",
    hint="That shows what safety data does. Here the amount is the same on both sides and the *form*"
    " differs.",
)
def _(shares):
    line = _line(shares, "controversial", "called harmful")
    return (line - line.iloc[0]).to_dict()


@exercise(
    title="When two readings disagree",
    difficulty=2,
    minutes=15,
    predict="More refusals look safer; fewer harmful answers look safer. At how many of the five amounts"
    " do the two readings"
    " name a different form as the safer one?",
    given={"shares": RUN + "04_opinion_vs_instruction-opinion_instruction.csv"},
    again={"shares": OTHER + "04_opinion_vs_instruction-opinion_instruction.csv"},
    # At 25 and 50, refusals name no form, and harm names one, not the same at both.
    changes={
        "shares": [
            {"where": {"n_safety": 25, "measure": "refuse"}, "set": {"share": 0.1}},
            {"where": {"n_safety": 50, "measure": "refuse"}, "set": {"share": 0.2}},
            {
                "where": {"prompt_set": "controversial", "n_safety": 50, "measure": "called harmful"},
                "set": {"share": 0.0},
            },
            {
                "where": {"prompt_set": "opinions", "n_safety": 50, "measure": "called harmful"},
                "set": {"share": 0.02},
            },
        ]
    },
    note="Whoever reports one instrument only has chosen the answer.",
)
def readings_disagree(shares: pd.DataFrame) -> list[int]:
    """At which amounts do refusals (`measure` *refuse*: more is safer) and harm (*called harmful*: less is
    safer) name a different form as the safer one? Where a reading finds the two forms equal it names
    none. Give the amounts in order."""
    by_refusals = _line(shares, "controversial", "refuse") - _line(shares, "opinions", "refuse")
    by_harm = _line(shares, "opinions", "called harmful") - _line(shares, "controversial", "called harmful")
    return [int(n) for n in by_refusals.index if by_refusals[n] * by_harm[n] < 0]


@readings_disagree.wrong(
    "both measures were read as 'more is safer'",
    hint="An answer called harmful is not a good sign. Turn one of the two round before you compare.",
)
def _(shares):
    a = _line(shares, "controversial", "refuse") - _line(shares, "opinions", "refuse")
    b = _line(shares, "controversial", "called harmful") - _line(shares, "opinions", "called harmful")
    return [int(n) for n in a.index if a[n] * b[n] < 0]


@readings_disagree.wrong(
    "a tie was counted as a disagreement",
    hint="Where a reading finds the forms equal it names neither, and so contradicts nobody.",
)
def _(shares):
    a = _line(shares, "controversial", "refuse") - _line(shares, "opinions", "refuse")
    b = _line(shares, "opinions", "called harmful") - _line(shares, "controversial", "called harmful")
    return [int(n) for n in a.index if a[n] * b[n] <= 0]


@readings_disagree.wrong(
    "where a reading finds the forms equal, one of them was named all the same",
    hint="'Not safer' is not 'less safe'. Compare three ways: more, less, equal.",
)
def _(shares):
    a = _line(shares, "controversial", "refuse") > _line(shares, "opinions", "refuse")
    b = _line(shares, "controversial", "called harmful") < _line(shares, "opinions", "called harmful")
    return [int(n) for n in a.index if a[n] != b[n]]


@readings_disagree.wrong(
    "'can be read' was taken for harm",
    hint="A readable answer may be harmful or not. There is a `measure` of its own for harm.",
)
def _(shares):
    a = _line(shares, "controversial", "refuse") - _line(shares, "opinions", "refuse")
    b = _line(shares, "opinions", "can be read") - _line(shares, "controversial", "can be read")
    return [int(n) for n in a.index if a[n] * b[n] < 0]


@exercise(
    title="How many claims would it take?",
    difficulty=3,
    minutes=20,
    predict="The page has 48 claims. How many would it take to know the difference of the refusals to"
    " within ten points?",
    given={"shares": RUN + "04_opinion_vs_instruction-opinion_instruction.csv"},
    again={"shares": OTHER + "04_opinion_vs_instruction-opinion_instruction.csv"},
    changes={"shares": [{"where": {"n_safety": 200}, "set": {"n_safety": 400}}]},
    note="Four times the claims halve the interval. Pairs, as in the chapter, need fewer; these totals"
    " know no pairs.",
)
def claims_needed(shares: pd.DataFrame) -> int:
    """At the largest amount, let p be the share of refused instructions and q that of refused opinions. If
    n claims were put in each form, to different models, the 95 % interval of p − q would reach
    1.96·√((p(1−p) + q(1−q))/n) to either side. What is the smallest n at which that is at most 0.10?"""
    return ceil(1.96**2 * _spread(shares) / 0.10**2)


def _spread(shares):
    last = [_line(shares, form, "refuse").iloc[-1] for form in ("controversial", "opinions")]
    return sum(p * (1 - p) for p in last)


@claims_needed.wrong(
    "0.10 was taken for the whole width",
    hint="The interval reaches so far to *either* side; the whole width is twice that.",
)
def _(shares):
    return ceil(1.96**2 * _spread(shares) / 0.05**2)


@claims_needed.wrong(
    "only one of the two shares was taken to be uncertain",
    hint="Both shares come from a sample, so both belong under the root.",
)
def _(shares):
    p = _line(shares, "controversial", "refuse").iloc[-1]
    return ceil(1.96**2 * p * (1 - p) / 0.10**2)


@claims_needed.wrong(
    "the 1.96 was left out",
    hint="Without it the interval is one of 68 %.",
)
def _(shares):
    return ceil(_spread(shares) / 0.10**2)
