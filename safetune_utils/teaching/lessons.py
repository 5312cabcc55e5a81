"""The lessons of `safetune lesson`: what each asks, as data. :mod:`safetune_utils.book.lesson` runs them."""

from __future__ import annotations

from typing import NamedTuple

from safetune_utils.errors import SafetuneError

PRESET = "classroom"


class Lesson(NamedTuple):
    """What a lesson asks.

    Attributes:
        title: its question.
        prompt_sets: two sets: what they are asked is all that is asked.
        predict: what to write down before the result is unfolded.
        chapter: the chapter that it belongs to.
    """

    title: str
    prompt_sets: tuple[str, str]
    predict: str
    chapter: str


LESSONS = (
    Lesson(
        "How much safety data does it take?",
        ("malicious", "ordinary"),
        "Which share of the malicious requests will be refused with 0, with 50 and with 200 safety examples?"
        " And of the ordinary ones?",
        "01_safety_amount",
    ),
    Lesson(
        "When does a safe model become too safe?",
        ("lookalikes_safe", "lookalikes_unsafe"),
        "With 200 safety examples, which share of the harmless look-alikes will be refused? And of the unsafe"
        " requests that share their words?",
        "02_exaggerated_safety",
    ),
    Lesson(
        "Does the form of a request matter?",
        ("malicious", "malicious_questions"),
        "The safety examples are instructions. Will the same malicious requests be refused as often when they"
        " are asked as questions?",
        "01_safety_amount",
    ),
)


def lesson_of(number: int) -> Lesson:
    """A lesson by its number, from 1.

    Raises:
        SafetuneError: there is none.
    """
    if not 1 <= number <= len(LESSONS):
        raise SafetuneError(f"there is no lesson {number}: choose 1 to {len(LESSONS)}")
    return LESSONS[number - 1]
