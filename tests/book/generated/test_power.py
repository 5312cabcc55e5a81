"""The page on power: what it says follows from the number of prompts."""

from __future__ import annotations

from estimates import change
from html_tables import rows_of

from safetune_utils.book import verdicts
from safetune_utils.book.findings import published
from safetune_utils.book.generated import power
from safetune_utils.book.markup import Cell


def claim(number: str) -> verdicts.Claim:
    return next(one for one in verdicts.claims() if one.number == number)


def test_the_page_says_of_each_claim_what_the_prompts_could_show() -> None:
    page = power.parts({}, published={})["power"]
    head, *rows = rows_of(page)
    assert head == [
        "claim",
        "what has to be seen",
        "prompts needed",
        "the embedded prompts",
        "this book's pages",
    ]
    assert [row[0].split(".")[0] for row in rows] == [one.number for one in verdicts.claims()]
    by_number = {row[0].split(".")[0]: row[1:] for row in rows}
    assert by_number["2"][:3] == ["a change of 41 points", "26", "a change from 11.4 points 98: enough"]
    # 66 ordinary instructions cannot show 5 points, even if none of them is declined more often.
    assert by_number["3b"][2] == (
        "the margin is out of reach 66: without any change the interval reaches 5.4 points"
    )
    assert by_number["3a"][2].startswith("the margin can be shown 132: without any change")
    assert by_number["6"][2].endswith("48: too few")
    assert {row[-1] for row in rows} == {"not attempted"}
    assert "The embedded prompts are enough for 8 of the 10 claims (1, 2, 3a, 4, 5a, 5b, 5c, 7)" in page


def test_so_few_prompts_show_nothing() -> None:
    assert power.could_show(claim("2"), 0) == "not attempted"
    assert power.could_show(claim("2"), 4) == Cell("no change", below="4: too few")
    assert power.could_show(claim("1"), 4) == Cell("no share", below="4: too few")


def test_a_run_on_prompts_that_are_shown_already_has_no_column() -> None:
    few = {"01_safety_amount": {"numbers": {"claim_few_hundred_make_safer": change(0.5, 0.4, 0.6, n=40)}}}
    head = rows_of(power.parts(few, published=published())["power"])[0]
    # Two of the published runs are on the embedded prompts; of Gemma's answers readers have read a few, and
    # of the run on every set one answer has no score.
    names = ("gemma-3-270m", "paper-sample-every-set", "paper-sample")
    runs = [f"published run '{name}'" for name in names]
    assert head[4:] == ["this book's pages", *runs]
    own = rows_of(power.parts(few, published={})["power"])[2]
    assert own[-1].endswith("40: enough")
