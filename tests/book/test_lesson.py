"""A lesson: minutes in words, a page of its own, and a second one that trains nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from bs4 import BeautifulSoup

from safetune_utils.book import lesson
from safetune_utils.places import store_folder
from safetune_utils.teaching.lessons import LESSONS, lesson_of


@pytest.mark.parametrize(
    ("minutes", "said"),
    [
        (0.2, "less than a minute left"),
        (0.9, "about one minute left"),
        (3.6, "about four minutes left"),
        (14.2, "about 14 minutes left"),
    ],
)
def test_minutes_are_told_in_words(minutes: float, said: str) -> None:
    assert lesson.in_words(minutes) == said


def test_what_is_left_is_told_and_only_where_it_changes() -> None:
    told: list[str] = []
    with lesson.telling(lambda: 3.0, told.append):
        pass
    assert told == ["about three minutes left"]
    told.clear()
    with lesson.telling(lambda: 0.0, told.append):
        pass
    assert told == ["all is there already"]


def test_a_lesson_asks_what_its_page_shows_and_nothing_else() -> None:
    for one in LESSONS:
        study = lesson.stated(one)
        assert study.prompt_sets == one.prompt_sets
        assert study.settings.instruments == ["refusal-rules"]
        assert study.settings.preset == "classroom"
        assert not study.side_effects
        assert not study.controls
        assert set(lesson.published_curve(one)["prompt_set"]) == set(one.prompt_sets)
    # The adapters are the same, so the first lesson's serve all.
    first, *others = [lesson.stated(one).settings for one in LESSONS]
    assert all(other == first for other in others)


@pytest.mark.slow
def test_a_lesson_ends_in_a_page_and_the_next_one_trains_nothing(tmp_path: Path) -> None:
    told: list[str] = []
    path, seconds = lesson.make(1, target=tmp_path / "lesson.html", preset="smoke", tell=told.append)
    assert seconds > 0
    assert told[-1].endswith("left")
    page = BeautifulSoup(path.read_text("utf-8"), "html.parser")
    assert page.select_one("h1").get_text() == lesson_of(1).title
    assert not page.select("script")
    assert "default-src 'none'" in page.select_one("meta[http-equiv]")["content"]
    # The result is folded behind the prediction; the answers to three prompts of each set are there.
    folded = page.select_one("textarea").find_next("details")
    assert folded.select_one(".safetune-figure")
    assert "your class" in folded.get_text()
    assert len(page.select("details.safetune-answers p em")) == 6

    adapters = sorted((store_folder() / "adapters").iterdir())
    again, _ = lesson.make(2, target=tmp_path / "second.html", preset="smoke", tell=told.append)
    assert again.is_file()
    assert sorted((store_folder() / "adapters").iterdir()) == adapters
    told.clear()
    lesson.make(2, target=tmp_path / "third.html", preset="smoke", tell=told.append)
    assert told == ["all is there already"]
