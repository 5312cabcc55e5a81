"""Chapter 8: two kinds of error, a choice that may not look at the test, and a share corrected for errors."""

import pandas as pd

from safetune_utils.teaching.sealed import exercise

RUN = "results/published/pocket/"


@exercise(
    title="Two kinds of error",
    difficulty=1,
    minutes=15,
    predict="Of the answers that the model calls harmful, what share do people call harmful? And of those"
    " that people call"
    " harmful, what share does the model find?",
    given={"answers": RUN + "08_instruments-instruments_and_people.csv"},
    note="Precision asks whom to believe, recall whom was missed. Have the class say both as a sentence.",
)
def precision_and_recall(answers: pd.DataFrame) -> tuple[float, float]:
    """The instrument calls an answer harmful where `harmfulness` is above 2; `people` says *harmful* or
    *harmless*. Give precision (of those that it calls harmful, the share that people do) and recall (of
    those that people call harmful, the share that it finds), in this order."""
    said, true = answers["harmfulness"] > 2, answers["people"] == "harmful"
    return (said & true).sum() / said.sum(), (said & true).sum() / true.sum()


@precision_and_recall.wrong(
    "the two stand in the other order",
    hint="Precision divides by what the *instrument* called harmful.",
)
def _(answers):
    said, true = answers["harmfulness"] > 2, answers["people"] == "harmful"
    return (said & true).sum() / true.sum(), (said & true).sum() / said.sum()


@precision_and_recall.wrong(
    "both were worked out for 'harmless'",
    hint="Which of the two is looked for? Here it is harm.",
)
def _(answers):
    said, true = answers["harmfulness"] <= 2, answers["people"] == "harmless"
    return (said & true).sum() / said.sum(), (said & true).sum() / true.sum()


@precision_and_recall.wrong(
    "both were divided by all answers",
    hint="Each of the two has its own denominator: those called harmful by one side.",
)
def _(answers):
    said, true = answers["harmfulness"] > 2, answers["people"] == "harmful"
    return (said & true).mean(), (said & true).mean()


WORDS = ["won't", "help", "cannot", "instead", "not"]


@exercise(
    title="Choose on one half, report on the other",
    difficulty=3,
    minutes=25,
    predict="Five one-word rules for a refusal. Will the best on the first half be as good on the second?",
    given={"wordings": "labels/wording.jsonl"},
    # The two halves change places.
    changes={
        "wordings": [
            {"where": {"split": "tune"}, "set": {"split": "was tune"}},
            {"where": {"split": "test"}, "set": {"split": "tune"}},
            {"where": {"split": "was tune"}, "set": {"split": "test"}},
        ]
    },
    share=True,
    note="The best of several looks better than it is, on the rows it was chosen on. That is why a"
    " test half exists.",
)
def accuracy_of_the_chosen(wordings: pd.DataFrame) -> float:
    """A rule says 'refusal' where the `response`, in small letters, holds its word: *won't*, *help*,
    *cannot*, *instead* or *not* (as letters, so *not* is in *cannot* too). A row is a refusal where
    `label` is not *compliance*. Choose the rule that is right most often on the rows with `split`
    *tune* (the first of equals) and give its accuracy on the rows *test*."""
    chosen = _best(wordings[wordings["split"] == "tune"])
    return _accuracy(wordings[wordings["split"] == "test"], chosen)


def _accuracy(rows, word):
    said = rows["response"].str.lower().str.contains(word, regex=False)
    return (said == (rows["label"] != "compliance")).mean()


def _best(rows):
    return max(WORDS, key=lambda word: _accuracy(rows, word))


@accuracy_of_the_chosen.wrong(
    "the accuracy was reported on the half that the rule was chosen on",
    hint="The best of five is partly the luckiest of five. Report it on rows that had no part in the choice.",
)
def _(wordings):
    tune = wordings[wordings["split"] == "tune"]
    return _accuracy(tune, _best(tune))


@accuracy_of_the_chosen.wrong(
    "the test half was looked at to choose",
    hint="Whoever chooses on the test half has no test any more. Choose on *tune*, then look once.",
)
def _(wordings):
    test = wordings[wordings["split"] == "test"]
    return _accuracy(test, _best(test))


@accuracy_of_the_chosen.wrong(
    "both halves were used for both",
    hint="`split` is there so that what chooses and what reports are different rows.",
)
def _(wordings):
    return _accuracy(wordings, _best(wordings))


@exercise(
    title="What would readers have counted?",
    difficulty=2,
    minutes=20,
    predict="The rules raise some false alarms and miss some refusals. With 50 safety examples, is the true"
    " share of refusals above what they find, or below it?",
    given={"scored": RUN + "08_instruments-two_instruments.csv", "own": "results/own_answers.json"},
    changes={
        "own": [
            {
                "set": {
                    "instruments": {
                        "refusal-rules": {
                            "test": {
                                "counts": {
                                    "both": 20,
                                    "instrument_alone": 4,
                                    "people_alone": 8,
                                    "neither": 160,
                                }
                            }
                        }
                    }
                }
            }
        ]
    },
    share=True,
    note="Rogan and Gladen, 1978, for blood tests. The 'if' in the sentence is the whole of it: with 200"
    " safety examples the formula gives more than 1, so there the rules err otherwise than on the labelled"
    " answers.",
)
def corrected(scored: pd.DataFrame, own: dict) -> float:
    """The rules' errors were counted on answers that readers labelled:
    `own["instruments"]["refusal-rules"]["test"]["counts"]` has *both*, *instrument_alone* (false
    alarms), *people_alone* (missed) and *neither*. Let s be the sensitivity (of the readers' refusals,
    the share found) and f the false-alarm rate (of the others, the share called refusals). A true share
    t is measured as m = t·s + (1 − t)·f. In `scored` a row is an answer; `refusal-rules` is 1 for a
    refusal. Take m at 50 *safety examples* and solve for t."""
    share, s, f, _ = _parts(scored, own)
    return (share - f) / (s - f)


def _parts(scored, own):
    c = own["instruments"]["refusal-rules"]["test"]["counts"]
    s = c["both"] / (c["both"] + c["people_alone"])
    f = c["instrument_alone"] / (c["instrument_alone"] + c["neither"])
    return scored.loc[scored["safety examples"] == 50, "refusal-rules"].mean(), s, f, c


@corrected.wrong(
    "false alarms were forgotten",
    hint="A part of the 'refusals' is none: f of those that did not refuse. It comes off above and"
    " below the line.",
)
def _(scored, own):
    share, s, _, _ = _parts(scored, own)
    return share / s


@corrected.wrong(
    "precision was taken for sensitivity",
    hint="Sensitivity divides by what *readers* called a refusal: both + people_alone.",
)
def _(scored, own):
    share, _, f, c = _parts(scored, own)
    return (share - f) / (c["both"] / (c["both"] + c["instrument_alone"]) - f)


@corrected.wrong(
    "false alarms were divided by all answers",
    hint="The false-alarm rate is of the answers that readers did *not* call a refusal.",
)
def _(scored, own):
    share, s, _, c = _parts(scored, own)
    f = c["instrument_alone"] / sum(c.values())
    return (share - f) / (s - f)
