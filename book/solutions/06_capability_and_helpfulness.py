"""Chapter 6: what guessing gives, what a lazy strategy gives, and a cost that nobody saw."""

import pandas as pd

from safetune_utils.teaching.sealed import exercise

RUN, OTHER = "results/published/pocket/", "results/published/pocket-seeds/"


@exercise(
    title="What the model knows beyond guessing",
    difficulty=1,
    minutes=10,
    predict="A little more than half of the questions are answered rightly, each with four choices. Of how"
    " many does the model know the answer, if it guesses at the others?",
    given={"costs": RUN + "06_capability_and_helpfulness-costs_capability.csv"},
    again={"costs": OTHER + "06_capability_and_helpfulness-costs_capability.csv"},
    note="A score has a floor that is not 0. Below it, 'little was lost' may mean that there was"
    " little to lose.",
)
def known(costs: pd.DataFrame) -> dict[int, float]:
    """At each amount, *questions right (%)* in `value` holds those that the model knew and a quarter of
    those it guessed at. Suppose that it knows the share k of the questions and guesses evenly among
    four choices at the rest. Give k, between 0 and 1, for each amount (`n_safety`)."""
    return {n: (p - 0.25) / 0.75 for n, p in _right(costs).items()}


def _right(costs):
    rows = costs[costs["measure"].str.startswith("questions right")]
    return (rows.set_index("n_safety")["value"] / 100).to_dict()


@known.wrong(
    "a quarter was taken off",
    hint="Only the questions that it does *not* know are guessed at: right = k + (1 − k)/4. Solve for k.",
)
def _(costs):
    return {n: p - 0.25 for n, p in _right(costs).items()}


@known.wrong(
    "two choices were assumed",
    hint="How many choices does a question of this set have? Look at data/corpus/four_choice.jsonl.",
)
def _(costs):
    return {n: (p - 0.5) / 0.5 for n, p in _right(costs).items()}


@known.wrong(
    "a quarter of the right answers was taken off",
    hint="A quarter of the *guesses* is right, not: a quarter of the right ones is guessed. Right = k"
    " + (1 − k)/4.",
)
def _(costs):
    return {n: p * 0.75 for n, p in _right(costs).items()}


@exercise(
    title="The longest answer is right",
    difficulty=2,
    minutes=20,
    predict="How often would you be right if you always took the longest of the four choices, without"
    " reading the question?",
    given={"questions": "corpus/four_choice.jsonl"},
    share=True,
    note="A benchmark can be passed for reasons that are not knowledge. Before you trust one, try the"
    " silly strategies.",
)
def by_length(questions: pd.DataFrame) -> float:
    """Each question has four `choices` and the place of the right one in `answer` (0 to 3). Which share is
    right for somebody who always takes the choice with the most letters (its `len`), the first of them
    where several are as long?"""
    return sum(_longest(row.choices) == row.answer for row in questions.itertuples()) / len(questions)


def _longest(choices, size=len):
    sizes = [size(choice) for choice in choices]
    return sizes.index(max(sizes))


@by_length.wrong(
    "a tie was counted as right whenever the right choice was among the longest",
    hint="Who chooses must take one of them. The task says which: the first.",
)
def _(questions):
    right = [len(r.choices[r.answer]) == max(map(len, r.choices)) for r in questions.itertuples()]
    return sum(right) / len(questions)


@by_length.wrong(
    "words were counted, not letters",
    hint="`len` of a text counts its signs.",
)
def _(questions):
    size = lambda text: len(text.split())  # noqa: E731
    return sum(_longest(row.choices, size) == row.answer for row in questions.itertuples()) / len(questions)


@by_length.wrong(
    "the places were counted from 1",
    hint="`answer` counts from 0, as `index` does.",
)
def _(questions):
    return sum(_longest(row.choices) + 1 == row.answer for row in questions.itertuples()) / len(questions)


@exercise(
    title="No change is not no cost",
    difficulty=3,
    minutes=20,
    predict="Suppose that not one of this page's questions goes from right to wrong. How large a share of all"
    " such questions might still do so?",
    given={"questions": "corpus/four_choice.jsonl"},
    share=True,
    note="The 'rule of three' says 3/n. 'We saw nothing' always needs the sentence 'we would have seen …'.",
)
def unseen(questions: pd.DataFrame) -> float:
    """Suppose that none of these questions changed. What is the largest share s of all such questions that
    could change, so that seeing none among n would still happen with a chance of 5 %? Solve (1 − s)ⁿ =
    0.05."""
    return 1 - 0.05 ** (1 / len(questions))


@unseen.wrong(
    "one question of n was taken",
    hint="A share of 1/n would stay unseen more than a third of the time. Solve the equation.",
)
def _(questions):
    return 1 / len(questions)


@unseen.wrong(
    "the rule of three, 3/n, was used",
    hint="It is near, and a rule of thumb. The equation has an exact answer.",
)
def _(questions):
    return 3 / len(questions)


@unseen.wrong(
    "a chance of 2.5 % was taken",
    hint="There is one side only here: fewer than none cannot be seen. So all of the 5 % lies there.",
)
def _(questions):
    return 1 - 0.025 ** (1 / len(questions))
