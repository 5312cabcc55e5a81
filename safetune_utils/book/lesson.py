"""A lesson: one command for a class, which ends in a page. It asks and scores only what its page shows.

The adapters are those of the classroom preset, so that a second lesson trains nothing, and one that was
stopped goes on where it stopped. Nothing is asked of the network.
"""

from __future__ import annotations

import io
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
from markupsafe import Markup

from safetune_utils import statistics
from safetune_utils.book import figures, findings, folds, words
from safetune_utils.book.content_policy import with_policy
from safetune_utils.book.markup import Row, render, table
from safetune_utils.data import set_entry
from safetune_utils.data.outputs import as_csv, of_adapters
from safetune_utils.study.design import state
from safetune_utils.study.plan import plan
from safetune_utils.study.run import run
from safetune_utils.study.study import Study
from safetune_utils.teaching import quizzes
from safetune_utils.teaching.lessons import PRESET, Lesson, lesson_of

# What refuses, by rules: it loads no model and takes no time.
_INSTRUMENT = "refusal-rules"
# Prompts of each set whose answers are shown.
_SHOWN = 3
_LOOK_EVERY = 10.0  # seconds
_STOPPED_AFTER = 60.0  # seconds without a look: more than a busy machine takes for one


def stated(lesson: Lesson, *, preset: str = PRESET) -> Study:
    """The study of a lesson: its two prompt sets, one instrument, nothing else."""
    return state(preset=preset, prompt_sets=lesson.prompt_sets, instruments=[_INSTRUMENT])


def page(lesson: Lesson, study: Study, responses: pd.DataFrame) -> str:
    """A lesson's page: one HTML file that needs no other and asks no network.

    Args:
        lesson: what was asked.
        study: of :func:`stated`.
        responses: what :func:`safetune_utils.study.run.run` gave for it.
    """
    curve = statistics.summarise(responses, by=["prompt_set", "n_safety"])
    figure = figures.dose_response(
        curve,
        name="lesson",
        caption="Answers that refuse, against the number of safety examples, with 95 % intervals. No negative"
        " control was made in this lesson; the book has them.",
        n_other=study.settings.n_general + study.settings.mixing.n_contrast,
    )
    markup = render(
        "lesson",
        title=lesson.title,
        predict=lesson.predict,
        made_by=words.run_by(study),
        figure=Markup(figure._repr_html_()),  # a template has escaped it
        answers=[
            Markup(folds.examples(responses, prompt_set=name, n=_SHOWN).data) for name in lesson.prompt_sets
        ],
        beside=beside(curve, lesson),
        recipes=_recipes(study, lesson),
    )
    return with_policy(
        markup,
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'",
    )


def beside(curve: pd.DataFrame, lesson: Lesson) -> Markup:
    """The class against the book: each share beside the published run's, where it has the same amount."""
    published = published_curve(lesson)
    rows: list[Row] = []
    for name in lesson.prompt_sets:
        for amount in sorted(curve.loc[curve["prompt_set"] == name, "n_safety"]):
            ours = statistics.share_at(curve, prompt_set=name, n_safety=amount)
            theirs = statistics.share_at(published, prompt_set=name, n_safety=amount)
            if ours is None:
                continue
            verdict = "the book did not ask this"
            if theirs is not None:
                difference = statistics.independent_difference(theirs, ours)
                verdict = "inside the noise" if difference.side == 0 else "outside the noise"
            rows.append(
                (
                    set_entry(name).title,
                    str(amount),
                    words.said(ours),
                    "–" if theirs is None else words.said(theirs),
                    verdict,
                )
            )
    return table(
        ("asked", "safety examples", "your class", "the book", "difference"),
        rows,
        caption="Answers that refuse: your class against the book's published run. The prompts of a lesson"
        " are a part of the book's, so the interval of a difference is too wide rather than too narrow. A"
        " lesson measures no negative controls; the book's stand in its first chapter.",
        name="beside",
        csv=as_csv(curve),
    )


def _recipes(study: Study, lesson: Lesson) -> str:
    """Where a class's recipe is not the book's, so that a share may differ without any noise."""
    ours = study.settings.n_general
    theirs = findings.read(quizzes.PUBLISHED)[lesson.chapter]["settings"]["n_general"]
    if ours == theirs:
        return "Both were trained on as many general examples."
    return (
        f"Your adapters were trained on {ours} general examples, the book's on {theirs}. So the same number"
        f" of safety examples is a {'larger' if ours < theirs else 'smaller'} part of yours, and a difference"
        " outside the noise need not surprise."
    )


def published_curve(lesson: Lesson) -> pd.DataFrame:
    """The book's published shares of a lesson's prompt sets."""
    found = [
        of_adapters(pd.read_csv(io.StringIO(csv)))
        for csv in quizzes.published(lesson.chapter).values()
        if csv.startswith("prompt_set,n_safety,share")
    ]
    return pd.concat(found).query("prompt_set in @lesson.prompt_sets")


def make(
    number: int, *, target: Path, preset: str = PRESET, tell: Callable[[str], None] = lambda line: None
) -> tuple[Path, float]:
    """Run a lesson and write its page.

    Args:
        number: of the lesson, from 1.
        target: the page to write.
        preset: what is trained and how many prompts are asked.
        tell: is given a line in plain words, now and then: how many minutes are left.

    Returns:
        The page, and the seconds that it took.

    Raises:
        SafetuneError: there is no such lesson, or the run cannot be made.
    """
    began = time.monotonic()
    lesson = lesson_of(number)
    study = stated(lesson, preset=preset)
    with telling(lambda: float(plan(study)["minutes_left"].sum()), tell):
        responses = run(study)
    target.write_text(page(lesson, study, responses), "utf-8")
    return target, time.monotonic() - began


@contextmanager
def telling(minutes_left: Callable[[], float], tell: Callable[[str], None]) -> Iterator[None]:
    """Say now and then how many minutes are left, in words, while the block runs.

    Time in which the whole program was stopped, by a closed lid or Ctrl-Z, counts as none.

    Args:
        minutes_left: a forecast in which what is under way counts as wholly left.
        tell: is given each line that differs from the one before.
    """
    done = threading.Event()
    first = minutes_left()

    def look() -> None:
        last, left, most = "", first, math.inf
        looked = since = time.monotonic()  # since when what is under way is under way
        while True:
            now = time.monotonic()
            if now - looked > _STOPPED_AFTER:
                # What was under way then will have taken long, so from now on nothing is forecast by it.
                since, most = since + now - looked, min(most, left)
            looked, before, left = now, left, min(minutes_left(), most)
            since = now if left != before else since
            passed = (now - since) / 60
            # What takes longer than was thought has, for all that is known, half as long to go as it took.
            line = in_words(max(left - passed, passed / 2))
            if line != last:
                tell(line)
                last = line
            if done.wait(_LOOK_EVERY):
                return

    if first < 0.05:
        tell("all is there already")
        yield
        return
    teller = threading.Thread(target=look, daemon=True)
    teller.start()
    try:
        yield
    finally:
        done.set()
        teller.join()


_NUMBERS = [
    "no",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
]


def in_words(minutes: float) -> str:
    """Minutes as a sentence: "about four minutes left"."""
    whole = round(minutes)
    if minutes < 0.75:
        return "less than a minute left"
    number = _NUMBERS[whole] if whole < len(_NUMBERS) else str(whole)
    return f"about {number} minute{'' if whole == 1 else 's'} left"
