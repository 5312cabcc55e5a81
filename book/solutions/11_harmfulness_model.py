"""Chapter 11: whether a probability means what it says, what a lazy model gets, and answers that are not
alone.
"""

from math import sqrt

import pandas as pd

from safetune_utils.teaching.sealed import exercise

BINS = "results/published/pocket/11_harmfulness_model-harmfulness_calibration_chapter.csv"


@exercise(
    title="Does 80 % mean 80 %?",
    difficulty=2,
    minutes=15,
    predict="The model says how likely harm is. By how many points is it off, on an average answer?",
    given={"bins": BINS},
    share=True,
    note="Where the model is unsure it is off by most, and there are few answers; so weights matter.",
)
def calibration_error(bins: pd.DataFrame) -> float:
    """Each row holds the `n` answers for which the model said about the same: `said` is its mean
    probability of harm, `share` the part that people called harmful. Give the mean distance between the
    two, whatever its direction, where each *answer* has the same weight."""
    return ((bins["said"] - bins["share"]).abs() * bins["n"]).sum() / bins["n"].sum()


@calibration_error.wrong(
    "each row had the same weight",
    hint="One row has 33 answers and another 225. The average is of answers.",
)
def _(bins):
    return (bins["said"] - bins["share"]).abs().mean()


@calibration_error.wrong(
    "too high and too low were set against one another",
    hint="A model that is far too high here and far too low there is not right on average. Take each"
    " distance without its"
    " sign.",
)
def _(bins):
    return ((bins["said"] - bins["share"]) * bins["n"]).sum() / bins["n"].sum()


@calibration_error.wrong(
    "the distances were squared",
    hint="That is another measure, in which large distances weigh more. Here the distance itself is"
    " asked for.",
)
def _(bins):
    return sqrt(((bins["said"] - bins["share"]) ** 2 * bins["n"]).sum() / bins["n"].sum())


@exercise(
    title="Better than always the same?",
    difficulty=1,
    minutes=10,
    predict="The book's model agrees with people on about three test answers in four. What would a model get"
    " that says 'harmful' to everything?",
    given={"test": "results/harmfulness.json#test/counts"},
    again={"test": "results/harmfulness.json#validation/counts"},
    # There the commonest label is the other one.
    changes={"test": [{"set": {"both": 60, "neither": 198}}]},
    share=True,
    note="Accuracy has no meaning without the share of the commonest label.",
)
def beyond_the_commonest(test: dict) -> float:
    """`test` counts answers: *both* (model and people say harmful), *instrument_alone* (only the model
    does), *people_alone* and *neither*. By how much is the model's accuracy above that of a model which
    always gives the label that people gave most often?"""
    return _accuracy(test) - max(_harmful(test), 1 - _harmful(test))


def _accuracy(test):
    return (test["both"] + test["neither"]) / sum(test.values())


def _harmful(test):
    return (test["both"] + test["people_alone"]) / sum(test.values())


@beyond_the_commonest.wrong(
    "it was compared with a coin",
    hint="A coin does not know that one label is commoner. What is right most often without reading"
    " anything?",
)
def _(test):
    return _accuracy(test) - 0.5


@beyond_the_commonest.wrong(
    "the commonest label of the *model* was taken",
    hint="People's labels are what counts as right: both + people_alone are theirs.",
)
def _(test):
    said = (test["both"] + test["instrument_alone"]) / sum(test.values())
    return _accuracy(test) - max(said, 1 - said)


@beyond_the_commonest.wrong(
    "it was compared with a model that always says 'harmful'",
    hint="Here people say 'harmful' more often. Elsewhere they may not: find the commonest label from the"
    " counts.",
)
def _(test):
    return _accuracy(test) - _harmful(test)


@beyond_the_commonest.wrong(
    "it was compared with the rarer label",
    hint="Which label did people give more often, harmful or harmless?",
)
def _(test):
    return _accuracy(test) - min(_harmful(test), 1 - _harmful(test))


@exercise(
    title="Answers that are not alone",
    difficulty=3,
    minutes=25,
    predict="792 answers to 359 questions. As how many independent answers do they count?",
    given={"test": "results/harmfulness.json#test"},
    again={"test": "results/harmfulness.json#validation"},
    note="Answers to one question are judged alike. So questions are put aside for the test, and drawn"
    " for the interval.",
)
def as_good_as(test: dict) -> float:
    """`test["accuracy"]` has the accuracy and the two ends of its 95 % interval, drawn by *questions*,
    since answers to one question are alike; `test["n"]` is the number of answers. If answers had
    nothing to do with one another, the interval of n answers would be 2·1.96·√(p(1−p)/n) wide. Of how
    many such answers would the interval be as wide as it is?"""
    p, low, high = test["accuracy"]
    return p * (1 - p) * (2 * 1.96 / (high - low)) ** 2


@as_good_as.wrong(
    "half of the interval was taken for all of it",
    hint="The width is from the lower end to the upper one: 1.96 standard errors twice.",
)
def _(test):
    p, low, high = test["accuracy"]
    return p * (1 - p) * (1.96 / (high - low)) ** 2


@as_good_as.wrong(
    "the questions were counted",
    hint="If answers to one question were wholly alike, that would be right. The interval tells how"
    " alike they are.",
)
def _(test):
    return float(test["questions"])


@as_good_as.wrong(
    "the widths were compared without the square",
    hint="An interval gets half as wide with *four* times the answers. Solve the formula for n.",
)
def _(test):
    p, low, high = test["accuracy"]
    return test["n"] * (2 * 1.96 * sqrt(p * (1 - p) / test["n"])) / (high - low)
