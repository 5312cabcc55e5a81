"""Every exercise: its solution passes, its wrong methods get their hints, and what students have holds no
solution.
"""

import inspect
from types import FunctionType

import pandas as pd
import pytest

from safetune_utils.errors import SafetuneError
from safetune_utils.places import repository_folder
from safetune_utils.teaching import check, exercises, given
from safetune_utils.teaching.exercises import cases, judged
from safetune_utils.teaching.sealed import Solved, copied, sealed_text, solved
from safetune_utils.teaching.sealing import seals

SOLVED = solved()
ALL = [pytest.param(one, id=one.solution.__name__) for found in SOLVED.values() for one in found]
WRONG = [
    pytest.param(one, way, id=f"{one.solution.__name__}: {way.mistake}")
    for found in SOLVED.values()
    for one in found
    for way in one.wrong_ways
]


def named(function: FunctionType, name: str) -> FunctionType:
    """A function as a student would have written it under the exercise's name."""
    return FunctionType(
        function.__code__, function.__globals__, name, function.__defaults__, function.__closure__
    )


def test_each_chapter_has_three_exercises_or_more_of_its_own_and_each_three_wrong_ways() -> None:
    chapters = {path.stem for path in (repository_folder() / "notebooks").glob("*.ipynb")}
    assert SOLVED.keys() == chapters
    assert min(map(len, SOLVED.values())) >= 3
    assert min(len(one.wrong_ways) for found in SOLVED.values() for one in found) >= 3
    names = [one.solution.__name__ for found in SOLVED.values() for one in found]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("chapter", SOLVED)
def test_what_a_student_has_is_made_of_the_solutions_as_they_are(chapter: str) -> None:
    file = repository_folder() / "book" / "exercises" / f"{chapter}.json"
    assert file.read_text("utf-8") == sealed_text(chapter, SOLVED[chapter]), (
        "run python -m safetune_utils.teaching"
    )


@pytest.mark.parametrize("one", ALL)
def test_a_solution_is_right(one: Solved) -> None:
    checked = check(one.solution, predicted=1)
    assert checked.right, checked.says


@pytest.mark.parametrize(("one", "way"), WRONG)
def test_a_wrong_way_gets_its_own_hint(one: Solved, way: object) -> None:
    checked = check(named(way.method, one.solution.__name__), predicted=1)  # type: ignore[attr-defined]
    assert not checked.right
    assert checked.says == f"Not yet: {way.mistake}. {way.hint}"  # type: ignore[attr-defined]


@pytest.mark.parametrize("one", ALL)
def test_a_number_of_the_page_written_into_the_function_is_noticed(one: Solved) -> None:
    exercise = exercises()[one.solution.__name__]
    if len(cases(exercise)) == 1:
        pytest.skip("its data is one small file, and no other of its form is published")
    own = one.solution(**copied(cases(exercise)[0]))
    other = [one.solution(**copied(inputs)) for inputs in cases(exercise)][1]
    if seals(own, of="") == seals(other, of=""):
        pytest.skip("both data give the same")
    checked = judged(exercise, [own, own])
    assert not checked.right
    assert "wrong for other data" in checked.says


def test_what_is_wrong_before_the_answer_is_told_in_a_sentence() -> None:
    def share_refused(answers: pd.DataFrame):  # type: ignore[no-untyped-def]
        return answers["no_such_column"].mean()

    assert "KeyError" in check(share_refused, predicted=0.5).says
    assert 'answers["no_such_column"]' in check(share_refused, predicted=0.5).says

    def share_refused(answers):  # type: ignore[no-redef, no-untyped-def]
        answers["refusal"] == "full_refusal"  # noqa: B015

    assert check(share_refused, predicted=0.5).says.startswith("Nothing came back")

    def share_refused(table):  # type: ignore[no-redef, no-untyped-def]
        return 1

    assert check(share_refused, predicted=0.5).says.startswith("The function takes answers")

    def share_refused(answers):  # type: ignore[no-redef, no-untyped-def]
        return answers

    assert check(share_refused, predicted=0.5).says == "A DataFrame came back. The task asks for: float."

    def share_refused(answers):  # type: ignore[no-redef, no-untyped-def]
        model = answers[(answers["base_model"] == "embedded") & (answers["n_safety"] == 200)]
        asked = model[model["prompt_set"] == "malicious"]
        return 100 * asked["refusal"].eq("full_refusal").mean()

    assert "a hundred times too large" in check(share_refused, predicted=0.5).says

    def share_refused(answers):  # type: ignore[no-redef, no-untyped-def]
        return (answers[answers["n_safety"] == "200"]["refusal"] == "full_refusal").mean()

    assert check(share_refused, predicted=0.5).says.startswith("It gives nan")


def test_nothing_is_checked_without_a_prediction_and_an_unknown_name_is_told() -> None:
    def share_refused(answers):  # type: ignore[no-untyped-def]
        return 1

    with pytest.raises(SafetuneError, match="write down what you expect first"):
        check(share_refused, predicted=None)
    with pytest.raises(SafetuneError, match=r"for 75 % write predicted=0\.75"):
        check(share_refused, predicted=75)

    def share_refuse(answers):  # type: ignore[no-untyped-def]
        return 1

    with pytest.raises(SafetuneError, match="share_refused"):
        check(share_refuse, predicted=1)


def test_what_an_exercise_is_given_may_be_spoilt_by_a_student() -> None:
    def share_refused(answers):  # type: ignore[no-untyped-def]
        answers.drop(answers.index, inplace=True)
        return 0.5

    check(share_refused, predicted=1)
    assert len(given("share_refused")["answers"]) > 300


def test_a_seed_draws_a_student_s_own_rows_and_the_same_again() -> None:
    mine, again, yours = (given("share_refused", seed=seed)["answers"] for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(mine, again)
    assert set(mine["id"]) != set(yours["id"])


def test_the_student_s_files_hold_no_line_of_a_solution() -> None:
    text = "".join(path.read_text("utf-8") for path in (repository_folder() / "book" / "exercises").iterdir())
    for found in SOLVED.values():
        for one in found:
            for method in (one.solution, *(way.method for way in one.wrong_ways)):
                source = inspect.getsource(method).strip().splitlines()
                lines = [line.strip() for line in source if line.strip().startswith("return ")]
                assert lines
                assert not [line for line in lines if line in text]


def test_numbers_are_alike_to_four_digits_and_texts_are_what_they_are() -> None:
    assert set(seals(0.12344, of="x")) & set(seals(0.12345, of="x"))
    assert not set(seals(0.1234, of="x")) & set(seals(0.1236, of="x"))
    assert seals({"a": 1, "b": 2.0}, of="x") == seals(pd.Series({"b": 2, "a": 1.0}), of="x")
    assert not set(seals(0.5, of="x")) & set(seals(0.5, of="y"))
    assert seals({"b", "a"}, of="x") == seals({"a", "b"}, of="x")
