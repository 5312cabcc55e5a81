"""What each chapter is for in a course: objectives, what it needs, minutes, and what to predict.

The facts are data, in ``book/teach/chapters.yml``.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import NamedTuple

import yaml

from safetune_utils.errors import SafetuneError
from safetune_utils.places import repository_folder


class Taught(NamedTuple):
    """What a chapter is for in a course.

    Attributes:
        objectives: what a reader can do afterwards; each completes "you can …".
        needs: the numbers of the chapters that must come before.
        helps: pages of the book that help, by the names of their files.
        before: what one should know, as a sentence.
        minutes: of reading.
        predict: what to write down before the result is looked at.
    """

    objectives: list[str]
    needs: list[str]
    helps: list[str]
    before: str
    minutes: int
    predict: str


def taught() -> dict[str, Taught]:
    """What each chapter is for, by its number, in their order.

    Raises:
        SafetuneError: a chapter needs one that there is not, or one that needs it.
    """
    return _taught(repository_folder() / "book" / "teach" / "chapters.yml")


@cache
def _taught(path: Path) -> dict[str, Taught]:
    found = {number: Taught(**about) for number, about in yaml.safe_load(path.read_text("utf-8")).items()}
    for number, about in found.items():
        missing = set(about.needs) - found.keys()
        if missing:
            raise SafetuneError(f"{path}: chapter {number} needs {min(missing)}, which is not there")
        if number in all_needed(number, found):
            raise SafetuneError(f"{path}: chapter {number} needs itself, by way of others")
    return found


def all_needed(number: str, chapters: dict[str, Taught]) -> set[str]:
    """The chapters that must come before one, those that these need too."""
    found: set[str] = set()
    left = list(chapters[number].needs)
    while left:
        one = left.pop()
        if one not in found:
            found.add(one)
            left += chapters[one].needs
    return found


def order(chapters: dict[str, Taught]) -> list[list[str]]:
    """The chapters in steps: each stands a step behind the last of those that it needs."""
    steps: dict[str, int] = {}

    def step(number: str) -> int:
        if number not in steps:
            steps[number] = 1 + max((step(one) for one in chapters[number].needs), default=-1)
        return steps[number]

    for number in chapters:
        step(number)
    return [[n for n in chapters if steps[n] == place] for place in range(max(steps.values()) + 1)]
