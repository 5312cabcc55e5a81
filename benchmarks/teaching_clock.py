"""Hold plan A of the teacher's part against a clock: what a class reads, and what the machine takes.

    safetune book --student --output FOLDER
    python benchmarks/teaching_clock.py FOLDER/html

Reading is counted on the built pages, without what is folded, at 150 words a minute. The machine's steps are
run: the lesson with a store of its own, so that it trains all; then one call of a checker in a process of its
own, as a student waits for it. Let nothing else run. Prints one line for each step that has a row in the
plan, with the minutes that the plan gives it. What people do with these minutes takes people.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from bs4 import BeautifulSoup, Tag

from safetune_utils.places import repository_folder

WORDS_A_MINUTE = 150
CHAPTER = "01_safety_amount"
# A wrong answer, so that nothing of a solution stands here: the checker takes as long.
_CHECK = """
from safetune_utils.teaching import check, given
data = given("share_refused")
def share_refused(answers):
    return (answers["refusal"] == "full_refusal").mean()
print(check(share_refused, predicted=0.5))
"""


class Step(NamedTuple):
    """A step of the plan.

    Attributes:
        at: the row of the plan, such as ``0:05``.
        what: in words.
        minutes: that it takes.
        by: what that was worked out from.
    """

    at: str
    what: str
    minutes: float
    by: str


def main() -> None:
    html = Path(sys.argv[1])
    given = plan_minutes("A")
    steps = [*reading(html), *machine()]
    print("| from | plan | what | minutes | by |\n|---|---|---|---|---|")
    for one in sorted(steps, key=lambda step: step.at):
        print(f"| {one.at} | {given[one.at]} | {one.what} | {one.minutes:.1f} | {one.by} |")


def plan_minutes(letter: str) -> dict[str, int]:
    """The minutes of each row of a plan, by when it begins."""
    text = (repository_folder() / "book" / "teach" / "lessons.md").read_text("utf-8")
    (plan,) = re.findall(rf"^## Plan {letter}:.*?(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return {at: int(minutes) for at, minutes in re.findall(r"^\| (\d:\d\d) \| (\d+) \|", plan, re.MULTILINE)}


def reading(html: Path) -> list[Step]:
    """What plan A has read, on the student's pages."""
    chapter = shown(html / "notebooks" / f"{CHAPTER}.html")
    practice = shown(html / "practice" / f"{CHAPTER}.html")
    before, _, _ = words_of(chapter).partition("Before you look")
    exercise = practice.select("section section section")[0]
    questions = practice.select(".safetune-quiz")
    parts = [
        ("0:05", "the beginning of chapter 1, to the place to predict", before),
        ("0:40", "exercise 1.1", words_of(exercise)),
        ("1:17", "questions 1 and 5 with their options", " ".join(words_of(questions[n]) for n in (0, 4))),
    ]
    counted = [(at, what, len(text.split())) for at, what, text in parts]
    return [Step(at, f"read: {what}", n / WORDS_A_MINUTE, f"{n} words") for at, what, n in counted]


def shown(path: Path) -> BeautifulSoup:
    """The article of a built page, without what is folded but for the line that opens it."""
    page = BeautifulSoup(path.read_text("utf-8"), "html.parser")
    for fold in page.select("details"):
        for part in fold.find_all(recursive=False):
            if part.name != "summary":
                part.extract()
    for unseen in page.select("style, script, .headerlink"):
        unseen.extract()
    (article,) = page.select("article")
    return BeautifulSoup(str(article), "html.parser")


def words_of(part: Tag) -> str:
    return " ".join(part.get_text(" ").split())


def machine() -> list[Step]:
    """What the machine does in plan A, run."""
    with tempfile.TemporaryDirectory() as folder:
        alone = os.environ | {"SAFETUNE_STORE": str(Path(folder) / "store")}
        page = str(Path(folder) / "lesson.html")
        lesson = took([sys.executable, "-m", "safetune_utils", "lesson", "1", "--output", page], alone)
    check = took([sys.executable, "-c", _CHECK], dict(os.environ))
    return [
        Step("0:22", "run: safetune lesson, begun at 0:00", lesson, "a clock"),
        Step("0:40", "run: a checker's answer in a fresh kernel", check, "a clock"),
    ]


def took(command: list[str], environment: dict[str, str]) -> float:
    """The minutes that a command takes."""
    clock = time.monotonic()
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    return (time.monotonic() - clock) / 60


if __name__ == "__main__":
    main()
