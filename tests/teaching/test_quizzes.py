"""The quizzes: five questions a chapter, keys from tables, each wrong option with a misconception that has
a name.
"""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd
import pytest
import yaml

from safetune_utils.data.outputs import of_adapters
from safetune_utils.errors import SafetuneError
from safetune_utils.places import repository_folder
from safetune_utils.teaching import quizzes

CHAPTERS = sorted(path.stem for path in (repository_folder() / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_five_questions_each_with_one_right_option_and_named_mistakes(chapter: str) -> None:
    questions = quizzes.quiz(chapter, quizzes.published(chapter))
    assert len(questions) == 5
    names = {about["name"] for about in quizzes.misconceptions().values()}
    for question in questions:
        assert [option.right for option in question.options].count(True) == 1
        assert len({option.says for option in question.options}) == len(question.options) >= 3
        assert {option.mistake for option in question.options if not option.right} <= names
        assert "{{" not in "".join(
            [question.ask, *(option.says + option.because for option in question.options)]
        )


def test_the_right_option_does_not_stand_at_one_place() -> None:
    places = [
        [option.right for option in question.options].index(True)
        for chapter in CHAPTERS
        for question in quizzes.quiz(chapter, quizzes.published(chapter))
    ]
    assert max(places.count(place) for place in range(4)) < len(places) / 2


def test_every_misconception_is_used_and_at_least_one_key_of_each_chapter_is_worked_out() -> None:
    folder = repository_folder() / "book" / "quizzes"
    asked = {path.stem: yaml.safe_load(path.read_text("utf-8")) for path in folder.glob("[0-9]*.yml")}
    assert asked.keys() == set(CHAPTERS)
    used = {name for questions in asked.values() for question in questions for name in question["wrong"]}
    assert used == quizzes.misconceptions().keys()
    # Where a chapter's claim is a number, the number is worked out; 4, 5 and 8 ask one number each.
    assert all(any("{{" in str(question) for question in questions) for questions in asked.values())


def test_a_book_with_other_numbers_has_other_keys() -> None:
    tables = quizzes.published("01_safety_amount")
    curve = pd.read_csv(io.StringIO(tables["safety_amount"]))
    right = [o.says for o in quizzes.quiz("01_safety_amount", tables)[0].options if o.right]
    assert right == ["91 %"]
    curve.loc[(curve["prompt_set"] == "malicious") & (curve["n_safety"] == 200), "share"] = 0.61
    other = tables | {"safety_amount": curve.to_csv(index=False)}
    assert [o.says for o in quizzes.quiz("01_safety_amount", other)[0].options if o.right] == ["61 %"]


def test_a_key_is_the_adapters_number_where_a_figure_has_others_beside_it() -> None:
    tables = quizzes.published("01_safety_amount")
    curve = of_adapters(pd.read_csv(io.StringIO(tables["safety_amount"])))
    plain = tables | {"safety_amount": curve.to_csv(index=False)}
    words = curve.assign(share=0.5, by="bag of words")
    with_words = pd.concat([words, curve.assign(by="adapter")])
    beside = tables | {"safety_amount": with_words.to_csv(index=False)}
    assert quizzes.quiz("01_safety_amount", beside) == quizzes.quiz("01_safety_amount", plain)


def test_options_that_come_to_the_same_and_questions_without_data_are_left_out() -> None:
    tables = quizzes.published("01_safety_amount")
    curve = pd.read_csv(io.StringIO(tables["safety_amount"])).assign(share=0.0)
    flat = quizzes.quiz("01_safety_amount", tables | {"safety_amount": curve.to_csv(index=False)})
    assert len(flat) == 3  # all shares are 0 %, so neither question about one has wrong options left
    assert len(quizzes.quiz("01_safety_amount", {})) == 3


def test_a_mistake_without_a_name_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "book" / "quizzes"
    folder.mkdir(parents=True)
    (folder / "misconceptions.yml").write_text("a: {name: A, says: B}")
    (folder / "01_x.yml").write_text("- {ask: q, right: r, because: b, wrong: {c: w}}")
    monkeypatch.setattr(quizzes, "repository_folder", lambda: tmp_path)
    with pytest.raises(SafetuneError, match="no misconception is called 'c'"):
        quizzes.quiz("01_x", {})
