"""Chapter 3: what totals do not tell about single requests, how alike two forms are, and a crossed
comparison.
"""

import re

import pandas as pd

from safetune_utils.teaching.sealed import exercise

RUN, OTHER = "results/published/pocket/", "results/published/pocket-seeds/"


def _count(transfer, trained, asked="malicious"):
    row = transfer[(transfer["trained"] == trained) & (transfer["prompt_set"] == asked)].iloc[0]
    return round(row["share"] * row["n_scored"]), int(row["n_scored"])


def _share(transfer, trained, asked):
    return transfer[(transfer["trained"] == trained) & (transfer["prompt_set"] == asked)]["share"].iloc[0]


@exercise(
    title="What two totals hide",
    difficulty=3,
    minutes=25,
    predict="Of 100 malicious instructions one model refuses 20 and another 15. On how many of the 100 may"
    " the two differ?",
    given={"transfer": RUN + "03_prompt_format-transfer.csv"},
    again={"transfer": OTHER + "03_prompt_format-transfer.csv"},
    # 60 and 80 of 294: the second more, and together fewer than there are; on the page they are more.
    changes={
        "transfer": [
            {"where": {"trained": "instructions", "prompt_set": "malicious"}, "set": {"share": 0.20408}},
            {"where": {"trained": "questions", "prompt_set": "malicious"}, "set": {"share": 0.27211}},
        ]
    },
    note="This is why the chapter compares request by request: the same two totals may come of near"
    " agreement or of none.",
)
def can_differ(transfer: pd.DataFrame) -> tuple[int, int]:
    """Both models were asked the same `malicious` requests. From the totals alone (`share` of `n_scored`),
    what are the least and the greatest number of requests on which one of them refuses and the other
    does not? The models are those `trained` on *instructions* and on *questions*."""
    (a, n), (b, _) = _count(transfer, "instructions"), _count(transfer, "questions")
    return abs(a - b), min(a + b, 2 * n - a - b)


@can_differ.wrong(
    "the difference of the totals was given for both",
    hint="The totals would be the same if the two models refused quite different requests. How many"
    " differ then?",
)
def _(transfer):
    (a, _), (b, _) = _count(transfer, "instructions"), _count(transfer, "questions")
    return abs(a - b), abs(a - b)


@can_differ.wrong(
    "the greatest number was taken to be all requests",
    hint="On a request that neither refuses they agree. How many such are left if no request is"
    " refused by both?",
)
def _(transfer):
    (a, n), (b, _) = _count(transfer, "instructions"), _count(transfer, "questions")
    return abs(a - b), n


@can_differ.wrong(
    "the two totals were added for the greatest number",
    hint="That is right while they are small. If together they refuse more than there are requests, some are"
    " refused by both. How many at least?",
)
def _(transfer):
    (a, _), (b, _) = _count(transfer, "instructions"), _count(transfer, "questions")
    return abs(a - b), a + b


@can_differ.wrong(
    "the sum of the two totals was only kept from going above all requests",
    hint="If together they refuse more than there are requests, some are refused by both, and on those they"
    " agree. Take them off.",
)
def _(transfer):
    (a, n), (b, _) = _count(transfer, "instructions"), _count(transfer, "questions")
    return abs(a - b), min(a + b, n)


@can_differ.wrong(
    "the second total was taken off the first",
    hint="Either model may refuse more, and no number of requests is below 0.",
)
def _(transfer):
    (a, n), (b, _) = _count(transfer, "instructions"), _count(transfer, "questions")
    return a - b, min(a + b, 2 * n - a - b)


@can_differ.wrong(
    "the totals were cut and not rounded",
    hint="A share of n requests may come out as 59.9995, and means 60. Use `round`.",
)
def _(transfer):
    rows = transfer[transfer["prompt_set"] == "malicious"].set_index("trained")
    a, b = (int(rows["share"][name] * rows["n_scored"][name]) for name in ("instructions", "questions"))
    n = int(rows["n_scored"]["instructions"])
    return abs(a - b), min(a + b, 2 * n - a - b)


@can_differ.wrong(
    "the two models were taken to have nothing to do with one another",
    hint="That gives what chance would make of it. What is asked is what is possible: the least and"
    " the most.",
)
def _(transfer):
    (a, n), (b, _) = _count(transfer, "instructions"), _count(transfer, "questions")
    chance = round(n * (a / n * (1 - b / n) + b / n * (1 - a / n)))
    return chance, chance


@exercise(
    title="How alike are the two forms?",
    difficulty=2,
    minutes=15,
    predict="Of the different words of a request in both its forms, what share stands in both?",
    given={"requests": "corpus/malicious.jsonl"},
    share=True,
    note="Half of the words are the form. A bag of words sees a good part of the same request in both.",
)
def words_in_common(requests: pd.DataFrame) -> float:
    """Each request stands as a `question` and as an `instruction`. For each, take the set of its words in
    small letters (`re.findall(r"[a-z']+", text.lower())`). What share of the words of the two together
    is in both? Give the mean over the requests."""
    shares = [len(a & b) / len(a | b) for a, b in map(_words, requests.itertuples())]
    return sum(shares) / len(shares)


def _listed(text):
    return re.findall(r"[a-z']+", text.lower())


def _words(row):
    return set(_listed(row.question)), set(_listed(row.instruction))


@words_in_common.wrong(
    "it was divided by the words of the instruction alone",
    hint="Then a question with many further words would seem as alike as one with none. Below the line"
    " belong the words of"
    " both together.",
)
def _(requests):
    shares = [len(a & b) / len(b) for a, b in map(_words, requests.itertuples())]
    return sum(shares) / len(shares)


@words_in_common.wrong(
    "the words of all requests were put together first",
    hint="Then the words of one request meet those of another. Work it out for each request, then take"
    " the mean.",
)
def _(requests):
    found = list(map(_words, requests.itertuples()))
    a, b = set().union(*(f[0] for f in found)), set().union(*(f[1] for f in found))
    return len(a & b) / len(a | b)


@words_in_common.wrong(
    "words were counted as often as they stand",
    hint="A set holds each word once. Make sets before you count.",
)
def _(requests):
    shares = []
    for row in requests.itertuples():
        a, b = _listed(row.question), _listed(row.instruction)
        shares.append(sum(word in b for word in a) / (len(a) + len(b) - sum(word in b for word in a)))
    return sum(shares) / len(shares)


@exercise(
    title="Does training fit the form?",
    difficulty=3,
    minutes=20,
    predict="Is each model best at the form that it was trained on?",
    given={"transfer": RUN + "03_prompt_format-transfer.csv"},
    again={"transfer": OTHER + "03_prompt_format-transfer.csv"},
    note="One number for 'each form helps its own': it is 0 where one form is simply better, however much.",
)
def fit(transfer: pd.DataFrame) -> float:
    """Take the model trained on *instructions* and the one trained on *questions*. For each, how much more
    does it refuse of the requests in its own form than of those in the other (`malicious` are the
    instructions, `malicious_questions` the questions)? Add the two. Above 0, training fits its form."""
    own = _share(transfer, "instructions", "malicious") + _share(transfer, "questions", "malicious_questions")
    other = _share(transfer, "instructions", "malicious_questions") + _share(
        transfer, "questions", "malicious"
    )
    return own - other


@fit.wrong(
    "only the model that was trained on instructions was looked at",
    hint="If instructions are easier to refuse for every model, that number is above 0 with no fit at"
    " all. The second model"
    " is the control.",
)
def _(transfer):
    return _share(transfer, "instructions", "malicious") - _share(
        transfer, "instructions", "malicious_questions"
    )


@fit.wrong(
    "the two models were compared on the instructions alone",
    hint="That says which of them refuses more. Fit asks whether *each* is better at its own form.",
)
def _(transfer):
    return _share(transfer, "instructions", "malicious") - _share(transfer, "questions", "malicious")


@fit.wrong(
    "one of the two was subtracted where it is to be added",
    hint="For the model trained on questions, its own form is the questions: own less other, for both,"
    " then the sum.",
)
def _(transfer):
    one = _share(transfer, "instructions", "malicious") - _share(
        transfer, "instructions", "malicious_questions"
    )
    return one - (
        _share(transfer, "questions", "malicious_questions") - _share(transfer, "questions", "malicious")
    )
