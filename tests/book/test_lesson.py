"""A lesson: minutes in words, a page of its own, and a second one that trains nothing."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from bs4 import BeautifulSoup
from kills import command

from safetune_utils.book import lesson
from safetune_utils.book.markup import render
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


@pytest.mark.parametrize(
    ("looks", "said"),
    [
        # What is under way is taken off by the clock; when it is made, the forecast says what is left.
        (
            [(0, 9.0), (60, 9.0), (120, 9.0), (180, 6.0), (240, 6.0)],
            ["nine", "eight", "seven", "six", "five"],
        ),
        # The machine is slower than was thought: no end is promised, and the truth is said once it is known.
        (
            [*((60 * minute, 9.0) for minute in range(10)), (570, 18.0)],
            ["nine", "eight", "seven", "six", "five", "four", "three", "four", "18"],
        ),
        # The lid is closed for an hour: as much is left as before, and what was under way seems to have taken
        # an hour, by which nothing is forecast.
        ([(0, 9.0), (60, 9.0), (3660, 9.0), (3720, 9.0), (3730, 70.0)], ["nine", "eight", "seven"]),
    ],
)
def test_minutes_left_go_by_what_is_made_and_not_by_a_lid_that_was_closed(
    looks: list[tuple[float, float]], said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    all_looked = threading.Event()
    clock = iter([0.0, *(at for at, _ in looks)])
    left = iter([looks[0][1], *(minutes for _, minutes in looks)])

    def minutes_left() -> float:
        found = next(left, None)
        if found is None:
            all_looked.set()
        return looks[-1][1] if found is None else found

    monkeypatch.setattr(lesson, "_LOOK_EVERY", 0.001)
    monkeypatch.setattr(lesson, "time", SimpleNamespace(monotonic=lambda: next(clock, looks[-1][0])))
    with lesson.telling(minutes_left, told.append):
        assert all_looked.wait(60)
    assert told == [f"about {number} minutes left" for number in said]


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


def test_a_lesson_says_where_its_recipe_is_not_the_book_s() -> None:
    first = LESSONS[0]
    said = lesson._recipes(lesson.stated(first), first)
    assert "on 160 general examples, the book's on 320" in said
    assert "a larger part of yours" in said
    assert lesson._recipes(lesson.stated(first, preset="pocket"), first).startswith("Both")


def test_a_lesson_s_page_gives_nothing_away_before_it_is_unfolded() -> None:
    page = BeautifulSoup(
        render(
            "lesson",
            title="How?",
            predict="How many?",
            made_by="A run",
            figure="THE CURVE",
            beside="inside the noise",
            recipes="Another recipe.",
            answers=[],
        ),
        "html.parser",
    )
    (noise,) = [fold for fold in page.select("details details") if "inside the noise" in fold.get_text()]
    noise.extract()
    assert "THE CURVE" in page.get_text()
    for fold in page.select("details"):
        fold.extract()
    shown = page.get_text()
    assert "How many?" in shown
    assert not [said for said in ("THE CURVE", "inside the noise", "One small model") if said in shown]


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


WORDS = command("lesson", "1", "--preset", "smoke", "--output", "lesson.html")


def half_way(folder: Path) -> tuple[subprocess.Popen[bytes], dict[Path, str]]:
    """A lesson, begun, that has made something and not all: its process, and the records of what is made."""
    with (folder / "said.txt").open("wb") as said:
        process = subprocess.Popen(WORDS, cwd=folder, stderr=said, start_new_session=True)
    while not (made := records()):
        assert process.poll() is None, (folder / "said.txt").read_text("utf-8")
        time.sleep(0.02)
    return process, made


def records() -> dict[Path, str]:
    return {path: path.read_text("utf-8") for path in store_folder().glob("adapters/*/record.json")}


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="this system cannot stop a process and go on")
def test_a_lesson_goes_on_when_the_lid_is_opened_again(tmp_path: Path) -> None:
    process, _ = half_way(tmp_path)
    os.killpg(process.pid, signal.SIGSTOP)
    stopped = records()
    time.sleep(3)
    assert records() == stopped
    assert not (tmp_path / "lesson.html").exists()
    os.killpg(process.pid, signal.SIGCONT)
    assert process.wait(timeout=900) == 0
    assert "Your class against the book" in (tmp_path / "lesson.html").read_text("utf-8")
    told = (tmp_path / "said.txt").read_text("utf-8").splitlines()
    assert told
    assert all(line.endswith("left") for line in told)


@pytest.mark.slow
def test_a_lesson_that_was_stopped_goes_on_with_what_is_made_by_the_same_command(tmp_path: Path) -> None:
    process, made = half_way(tmp_path)
    process.terminate()
    assert process.wait(timeout=60) == 128 + signal.SIGTERM
    assert not (tmp_path / "lesson.html").exists()
    again = subprocess.run(WORDS, cwd=tmp_path, capture_output=True, text=True, timeout=900)
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "lesson.html").is_file()
    assert made.items() <= records().items()


def cut_off() -> list[str]:
    """The words before a command that take every network from it, the computer's own too; empty where that
    is not allowed.
    """
    words = ["unshare", "--map-root-user", "--net"]
    allowed = shutil.which(words[0]) and subprocess.run([*words, "true"], capture_output=True).returncode == 0
    return words if allowed else []


@pytest.mark.slow
def test_a_lesson_needs_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not (words := cut_off()):
        pytest.skip("this system does not let a test take its network away")
    # Nothing that was fetched before is at hand, and nothing says that the hub is not to be asked.
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    answer = subprocess.run([*words, *WORDS], cwd=tmp_path, capture_output=True, text=True, timeout=900)
    assert answer.returncode == 0, answer.stderr
    assert (tmp_path / "lesson.html").is_file()
    assert not list((tmp_path / "hf").rglob("*.safetensors"))
