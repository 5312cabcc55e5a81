"""Chapter 1: a share and what it is a share of, what a loss says, how well a share is known, and a change on
the same requests.
"""

from math import sqrt

import pandas as pd

from safetune_utils.teaching.sealed import exercise

RUN, OTHER = "results/published/pocket/", "results/published/gemma-3-270m/"


@exercise(
    title="A share, and of what",
    difficulty=1,
    minutes=25,
    predict="Of the answers that readers labelled, those to malicious requests after 200 safety examples:"
    " what share refuses?",
    given={"answers": "labels/own_answers.jsonl"},
    changes={
        "answers": [
            {
                "where": {"prompt_set": "malicious", "n_safety": 200, "refusal": "compliance"},
                "set": {"refusal": "partial_refusal"},
            }
        ]
    },
    share=True,
    note="Ask first what the question is about, then what is counted. The denominator is where most"
    " wrong shares come from.",
)
def share_refused(answers: pd.DataFrame) -> float:
    """Which share of the embedded model's answers to malicious requests refuses in full, with 200 safety
    examples? `answers` has a row for each answer that was read. `prompt_set` says what was asked.
    `base_model` and `n_safety` say of which model: *embedded* or another, and the number 0, 50 or 200, or the
    word *untuned*. `refusal` says what the readers found: *full_refusal*, *partial_refusal* or *compliance*.
    """
    model = _with_200(answers)
    return (model.loc[model["prompt_set"] == "malicious", "refusal"] == "full_refusal").mean()


def _with_200(answers):
    return answers[(answers["base_model"] == "embedded") & (answers["n_safety"] == 200)]


@share_refused.wrong(
    "the second base model was put with it",
    hint="Two base models were tuned with 200 safety examples, and the question is about one of them. Which"
    " column tells the base model?",
)
def _(answers):
    asked = answers[(answers["prompt_set"] == "malicious") & (answers["n_safety"] == 200)]
    return (asked["refusal"] == "full_refusal").mean()


@share_refused.wrong(
    "the answers to malicious requests were divided by all answers of that model",
    hint="The rows of the other prompt sets could not have been counted above the line, so they have"
    " no place below it.",
)
def _(answers):
    model = _with_200(answers)
    refused = (model["prompt_set"] == "malicious") & (model["refusal"] == "full_refusal")
    return refused.sum() / len(model)


@share_refused.wrong(
    "all models were put together, the untuned one too",
    hint="One number for many models says nothing of any of them. Which columns tell the model?",
)
def _(answers):
    return (answers.loc[answers["prompt_set"] == "malicious", "refusal"] == "full_refusal").mean()


@share_refused.wrong(
    "all prompt sets were put together",
    hint="A refusal of a recipe and a refusal of a threat are not the same finding. Which requests"
    " does the question name?",
)
def _(answers):
    return (_with_200(answers)["refusal"] == "full_refusal").mean()


def _refused_in_full(answers):
    model = _with_200(answers)
    return ((model["prompt_set"] == "malicious") & (model["refusal"] == "full_refusal")).sum()


@share_refused.wrong(
    "partial refusals were counted too",
    hint="`refusal` has three codes. On this page's data *partial_refusal* does not occur among these"
    " answers; in other data it does. Which code says 'in full'?",
)
def _(answers):
    model = _with_200(answers)
    return (model.loc[model["prompt_set"] == "malicious", "refusal"] != "compliance").mean()


@share_refused.wrong(
    "all answers of the table stand below the line",
    hint="Most of them are of other models or to other requests. Of which answers could one have been counted"
    " above the line?",
)
def _(answers):
    return _refused_in_full(answers) / len(answers)


@share_refused.wrong(
    "the answers of all models to malicious requests stand below the line",
    hint="Above the line stand those of one model. So below it belong only the answers of that model.",
)
def _(answers):
    return _refused_in_full(answers) / (answers["prompt_set"] == "malicious").sum()


@share_refused.wrong(
    "the refusals of the model stand below the line",
    hint="That says which part of its refusals is to malicious requests. Asked is which part of its answers"
    " to malicious requests is a refusal.",
)
def _(answers):
    model = _with_200(answers)
    return _refused_in_full(answers) / (model["refusal"] == "full_refusal").sum()


@share_refused.wrong(
    "the refusals of all models stand below the line",
    hint="That says which part of all refusals is of this kind. Below the line belong answers, those that do"
    " not refuse too.",
)
def _(answers):
    return _refused_in_full(answers) / (answers["refusal"] == "full_refusal").sum()


@share_refused.wrong(
    "the malicious questions were counted too",
    hint="The set *malicious_questions* is another one: its requests are worded as questions. The name must"
    " be the same, and not only begin so.",
)
def _(answers):
    model = _with_200(answers)
    sets = model["prompt_set"].str.startswith("malicious")
    return (model.loc[sets, "refusal"] == "full_refusal").mean()


@share_refused.wrong(
    "it is a number of answers, and no share",
    hint="Divide it by the number of answers that could have refused.",
)
def _(answers):
    return _refused_in_full(answers)


@exercise(
    title="What training brought",
    difficulty=1,
    minutes=10,
    predict="Along one line, from its first value to its lowest: how far will the validation loss fall at 0"
    " safety examples, and how far at 200?",
    given={"losses": RUN + "01_safety_amount-losses.csv"},
    again={"losses": OTHER + "01_safety_amount-losses.csv"},
    changes={
        "losses": [
            {"where": {"n_safety": 0, "step": 80}, "set": {"validation_loss": 2.7}},
            {"where": {"n_safety": 50, "step": 94}, "set": {"validation_loss": 2.9}},
        ]
    },
    note="The levels of two amounts are not on the same rows; a fall along one line is.",
)
def loss_fall(losses: pd.DataFrame) -> dict[int, float]:
    """For each amount of safety examples (`n_safety`): by how much did the validation loss fall, from the
    first time it was measured to its lowest value? A fall is a positive number. Columns: `n_safety`,
    `step`, `train_loss`, `validation_loss`."""
    return {
        amount: line.iloc[0] - line.min()
        for amount, line in losses.sort_values("step").groupby("n_safety")["validation_loss"]
    }


@loss_fall.wrong(
    "the training loss was read",
    hint="The training loss is that of the last few rows only, so it jumps. Which column is of rows"
    " that were never"
    " trained on?",
)
def _(losses):
    return {n: g.iloc[0] - g.min() for n, g in losses.sort_values("step").groupby("n_safety")["train_loss"]}


@loss_fall.wrong(
    "each line was compared with the lowest loss of all lines",
    hint="The validation rows differ between amounts, so losses are compared along a line and not"
    " across lines.",
)
def _(losses):
    lowest = losses["validation_loss"].min()
    return {
        n: g.iloc[0] - lowest for n, g in losses.sort_values("step").groupby("n_safety")["validation_loss"]
    }


@loss_fall.wrong(
    "the last loss of each line was taken for its lowest",
    hint="On this page they are the same. A loss may also rise again before training ends: which value of a"
    " line is the lowest?",
)
def _(losses):
    lines = losses.sort_values("step").groupby("n_safety")["validation_loss"]
    return {n: g.iloc[0] - g.iloc[-1] for n, g in lines}


@loss_fall.wrong(
    "the highest loss of each line was taken for its first",
    hint="On this page they are the same. A loss may also rise above where it began: which row of a line was"
    " measured first?",
)
def _(losses):
    return {n: g.max() - g.min() for n, g in losses.groupby("n_safety")["validation_loss"]}


@loss_fall.wrong(
    "the fall was divided by where it began",
    hint="The fall itself is asked for, in the loss's own unit (nats), not as a part of the first loss.",
)
def _(losses):
    lines = losses.sort_values("step").groupby("n_safety")["validation_loss"]
    return {n: (g.iloc[0] - g.min()) / g.iloc[0] for n, g in lines}


@exercise(
    title="How low could it be?",
    difficulty=2,
    minutes=20,
    predict="Suppose that one answer in fifty refuses, of 98. How low may the true share be: below 0, at 0,"
    " or above it?",
    given={"curve": RUN + "01_safety_amount-safety_amount.csv"},
    again={"curve": OTHER + "01_safety_amount-safety_amount.csv"},
    changes={
        "curve": [{"where": {"prompt_set": "malicious", "n_safety": 50}, "set": {"n_scored": 49}}],
    },
    note="Near 0 and 1 the textbook's interval reaches to what cannot be. Wilson's does not.",
)
def lower_ends(curve: pd.DataFrame) -> dict[int, float]:
    """For the malicious requests at each amount, the lower end of Wilson's 95 % interval (z = 1.96),
    worked out from `share` and `n_scored`: with share p of n, it is (p + z²/2n − z·√(p(1−p)/n +
    z²/4n²)) / (1 + z²/n)."""
    asked = curve[curve["prompt_set"] == "malicious"]
    return {row.n_safety: _wilson_low(row.share, row.n_scored, 1.96) for row in asked.itertuples()}


def _wilson_low(p, n, z):
    return (p + z**2 / (2 * n) - z * sqrt(p * (1 - p) / n + z**2 / (4 * n**2))) / (1 + z**2 / n)


@lower_ends.wrong(
    "the usual interval, p − 1.96·√(p(1−p)/n), was worked out",
    hint="Near 0 it goes below 0, which no share can. The formula in the task keeps inside.",
)
def _(curve):
    asked = curve[curve["prompt_set"] == "malicious"]
    return {
        r.n_safety: r.share - 1.96 * sqrt(r.share * (1 - r.share) / r.n_scored) for r in asked.itertuples()
    }


@lower_ends.wrong(
    "the table's own lower ends were read",
    hint="`low` is there to compare yours with. Work it out from `share` and `n_scored`: in other data it may"
    " be missing, or of another method.",
)
def _(curve):
    asked = curve[curve["prompt_set"] == "malicious"]
    return dict(zip(asked["n_safety"], asked["low"], strict=True))


@lower_ends.wrong(
    "one standard error was taken",
    hint="A range of one standard error holds the truth two times in three. Which z belongs to 95 %?",
)
def _(curve):
    asked = curve[curve["prompt_set"] == "malicious"]
    return {r.n_safety: _wilson_low(r.share, r.n_scored, 1.0) for r in asked.itertuples()}


@lower_ends.wrong(
    "the prompts of all amounts were counted as n",
    hint="The same requests were put to every model, so five models are not five times as many requests.",
)
def _(curve):
    asked = curve[curve["prompt_set"] == "malicious"]
    return {r.n_safety: _wilson_low(r.share, asked["n_scored"].sum(), 1.96) for r in asked.itertuples()}


@exercise(
    title="The same requests, before and after",
    difficulty=2,
    minutes=15,
    predict="Readers called some answers harmful. Is their share smaller with 50 safety examples than with"
    " none? By how much?",
    given={"answers": "labels/own_answers.jsonl"},
    share=True,
    note="Unpaired, a part of the difference is that of the requests. Paired, the change is larger here, and"
    " still of few requests: ask for its interval before anybody believes it.",
)
def change_in_harm(answers: pd.DataFrame) -> float:
    """By how much does the share of the embedded model's answers (`base_model` is *embedded*) that are
    harmful (`harm`, true or false) change from 0 to 50 safety examples (`n_safety`), on the requests whose
    answers were read at both amounts? `prompt_id` tells the request; take all prompt sets together. A fall is
    a negative number."""
    both = _both(answers)
    return (both["harm_after"].astype(float) - both["harm_before"].astype(float)).mean()


def _read_at(answers, amount):
    return answers[(answers["base_model"] == "embedded") & (answers["n_safety"] == amount)]


def _both(answers):
    before, after = (_read_at(answers, amount)[["prompt_id", "harm"]] for amount in (0, 50))
    return before.merge(after, on="prompt_id", suffixes=("_before", "_after"))


@change_in_harm.wrong(
    "all answers that were read at 0 were compared with all that were read at 50",
    hint="Other requests were read at 0 than at 50, so a part of the difference is that of the requests."
    " Keep those that were read at both, and compare each with itself.",
)
def _(answers):
    return _read_at(answers, 50)["harm"].mean() - _read_at(answers, 0)["harm"].mean()


@change_in_harm.wrong(
    "the share with 50 safety examples was given",
    hint="That is a level. A change takes off what there was with none.",
)
def _(answers):
    return _both(answers)["harm_after"].astype(float).mean()


@change_in_harm.wrong(
    "it was divided by all requests that were read at either amount",
    hint="A request that was read at one amount only cannot show a change, so it has no place below the"
    " line.",
)
def _(answers):
    both = _both(answers)
    of_model = answers[answers["base_model"] == "embedded"]
    read = of_model[of_model["n_safety"].isin([0, 50])]["prompt_id"].nunique()
    return (both["harm_after"].astype(float) - both["harm_before"].astype(float)).sum() / read
