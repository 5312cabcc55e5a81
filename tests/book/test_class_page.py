"""The page of a class: contested pairs first, nothing that says whose an answer is, nothing that runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from pair_items import HOSTILE, ITEMS, PLAIN, PROMPTS, SETS, TUNED, annotated

from safetune_utils.annotation import preference
from safetune_utils.book import class_page


def test_contested_pairs_stand_first_by_the_sides_that_the_class_saw() -> None:
    page = BeautifulSoup(
        class_page.page([annotated("A", "wwwgll"), annotated("B", "wlbgll")], ITEMS), "html.parser"
    )
    pairs = page.select("details")[:-1]
    first = pairs[0].get_text()
    item = next(item for item in ITEMS if item.prompt == "Question 2?")
    assert "Question 2?" in first
    assert "100 % of all two people differ; 1 A better, 1 B better" in first
    assert [p.get_text() for p in pairs[0].select(".said")] == [item.a, item.b]
    assert item.first_name not in "".join(one.get_text() for one in pairs)
    assert "2 people judged 6 pairs" in page.get_text()
    assert "malicious" in page.select("details")[-1].get_text()


def test_what_strangers_wrote_is_text() -> None:
    page = BeautifulSoup(
        class_page.page([annotated("<b>A</b>", "", items=HOSTILE) for _ in range(1)], HOSTILE), "html.parser"
    )
    assert not page.select("script, img, svg, a")


@pytest.mark.slow
def test_thirty_annotators_give_a_few_lines_unless_more_are_asked(tmp_path: Path) -> None:
    for name, answers in (("tuned", TUNED), ("plain", PLAIN)):
        rows = [
            {"prompt_set": s, "prompt": p, "response": r}
            for s, p, r in zip(SETS, PROMPTS, answers, strict=True)
        ]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    items = preference.pairs(PROMPTS, TUNED, PLAIN, first_name="tuned", second_name="plain", seed=0)
    files = []
    for number in range(30):
        made = annotated(f"student {number}", "wwwgll" if number % 2 else "wlbg.l", items=items)
        files.append(tmp_path / f"{number}.json")
        preference.write_annotation(made, files[-1], items=items)

    def tally(*more: str) -> str:
        words = ["preference", "tally", "--first", "tuned.jsonl", "--second", "plain.jsonl", *more]
        command = [sys.executable, "-m", "safetune_utils", *words, *map(str, files)]
        answer = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
        assert answer.returncode == 0, answer.stderr
        return answer.stdout

    short = tally("--output", "class.html")
    assert len(short.splitlines()) < 25
    assert short.index("Question 2?") < short.index("Krippendorff") < short.index("all 30 people")
    assert "student 3 and student 4" in tally("--pairwise")
    assert "30 people judged 6 pairs" in (tmp_path / "class.html").read_text("utf-8")
