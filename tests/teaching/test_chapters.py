"""What each chapter is for: every chapter has it, and the map has no circle."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from safetune_utils.errors import SafetuneError
from safetune_utils.places import repository_folder
from safetune_utils.teaching import chapters, pages


def test_every_chapter_says_what_it_is_for() -> None:
    numbers = {path.name[:2] for path in (repository_folder() / "notebooks").glob("*.ipynb")}
    found = chapters.taught()
    assert found.keys() == numbers
    pages = {path.stem for path in (repository_folder() / "book").glob("*.md")}
    for about in found.values():
        assert len(about.objectives) >= 3
        assert set(about.helps) <= pages
        assert about.predict.endswith("?")
        assert 5 <= about.minutes <= 30


def test_a_chapter_and_its_head_name_the_same_minutes() -> None:
    said = {"Five": 5, "Seven": 7, "Ten": 10, "Fifteen": 15, "Twenty": 20}
    for path in (repository_folder() / "notebooks").glob("*.ipynb"):
        found = re.search(r"(\w+) minutes to read", path.read_text("utf-8"))
        if found:
            assert said[found[1]] == chapters.taught()[path.name[:2]].minutes, path.name


def test_what_is_needed_comes_before() -> None:
    found = chapters.taught()
    steps = chapters.order(found)
    step_of = {number: step for step, numbers in enumerate(steps) for number in numbers}
    assert step_of.keys() == found.keys()
    assert all(step_of[need] < step_of[n] for n, about in found.items() for need in about.needs)
    assert chapters.all_needed("11", found) == {"01", "08"}


def test_a_circle_and_a_chapter_that_is_not_there_are_told(tmp_path: Path) -> None:
    one = '{objectives: [a], needs: ["%s"], helps: [], before: b, minutes: 5, predict: "c?"}'
    path = tmp_path / "circle.yml"
    path.write_text(f'"01": {one % "02"}\n"02": {one % "01"}\n')
    with pytest.raises(SafetuneError, match="needs itself"):
        chapters._taught(path)
    other = tmp_path / "missing.yml"
    other.write_text(f'"01": {one % "07"}\n')
    with pytest.raises(SafetuneError, match="needs 07, which is not there"):
        chapters._taught(other)


def test_a_way_through_the_book_has_what_each_of_its_chapters_needs_before_it() -> None:
    found = chapters.taught()
    for way in pages.WAYS.values():
        numbers = [f"{n:02}" for n in way]
        for place, number in enumerate(numbers):
            assert chapters.all_needed(number, found) <= set(numbers[:place]), number
