"""Reviews: the items, what is read back, and what follows from it."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from draft_items import HOSTILE, ITEMS

from safetune_utils.annotation import review
from safetune_utils.annotation.review import Decision, Review
from safetune_utils.errors import SafetuneError

if TYPE_CHECKING:
    pass


@pytest.mark.parametrize(
    ("items", "word"),
    [
        ([], "nothing to review"),
        ([ITEMS[0], ITEMS[0]], "comes twice"),
        ([ITEMS[0] | {"id": "  "}], "'id' is missing or empty"),
        ([ITEMS[0] | {"id": 1}], "'id' is missing or empty"),
        ([{"id": "d", "text": "t"}], "'prompt' is missing or empty"),
        ([ITEMS[0] | {"text": ""}], "'text' is missing or empty"),
        ([ITEMS[0] | {"id": "two\nlines"}] * 2, "comes twice"),
    ],
)
def test_items_that_cannot_be_reviewed(items: list[dict[str, Any]], word: str) -> None:
    with pytest.raises(SafetuneError, match=word) as error:
        review.page(items, title="Drafts")
    assert "\n" not in str(error.value)


def test_the_data_cannot_end_its_script_and_carries_only_what_is_shown() -> None:
    html = review.page([HOSTILE[0] | {"author": "someone private"}], title="</script>", note="<!--")
    data = re.search(r'<script type="application/json" id="data">(.*)</script>\n<script>', html)
    assert data is not None
    assert not re.search("[<>&\u2028\u2029]", data[1])
    assert json.loads(data[1])["items"] == HOSTILE[:1]
    assert "private" not in html
    assert len(review.REASONS) <= 9


def written(path: Path, decisions: Any = (), **other: Any) -> Path:
    content = {
        "form": "safetune review 1",
        "items": review.items_hash(ITEMS),
        "reviewer": "AB",
        "exported": "2026-01-01T00:00:00Z",
    }
    path.write_text(
        json.dumps(
            content | {"decisions": list(decisions) if isinstance(decisions, tuple) else decisions} | other
        ),
        "utf-8",
    )
    return path


def row(
    name: str = "d1", decision: str = "accept", text: str | None = None, reason: str = ""
) -> dict[str, Any]:
    return {
        "id": name,
        "decision": decision,
        "text": next(i["text"] for i in ITEMS if i["id"] == name) if text is None else text,
        "reason": reason,
    }


def test_an_empty_review_is_read(tmp_path: Path) -> None:
    assert review.read_review(written(tmp_path / "r.json"), items=ITEMS) == Review(
        reviewer="AB", items=review.items_hash(ITEMS), decisions={}
    )


@pytest.mark.parametrize(
    ("decisions", "other", "word"),
    [
        ((), {"form": "safetune review 0"}, "not of the form"),
        ((), {"items": "0" * 64}, "made for other items"),
        ((), {"reviewer": " "}, "names no reviewer"),
        ({"id": "d1"}, {}, "no list under 'decisions'"),
        (("d1",), {}, "decision 1: it needs the texts"),
        (({"id": "d1", "decision": "accept", "reason": ""},), {}, "it needs the texts"),
        ((row(), row("d2", text="x") | {"id": "d\n9"}), {}, r"decision 2: no item has the id 'd\\n9'"),
        ((row(), row(decision="edit", text="other")), {}, "decision 2: 'd1' is decided twice"),
        ((row(decision="keep"),), {}, "'keep' is no decision"),
        ((row(decision="reject", reason="bad\nmood"),), {}, r"'bad\\nmood' is no reason to reject"),
        ((row(decision="reject"),), {}, "'' is no reason to reject"),
        ((row(reason=review.REASONS[0]),), {}, "is no reason to accept"),
        ((row(decision="edit", text=" "),), {}, "its text is empty"),
        ((row(text="something else"),), {}, "its text is not the draft"),
    ],
)
def test_a_review_that_does_not_fit(tmp_path: Path, decisions: Any, other: dict[str, Any], word: str) -> None:
    path = written(tmp_path / "r.json", decisions, **other)
    with pytest.raises(SafetuneError, match=word) as error:
        review.read_review(path, items=ITEMS)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"{", b"", b"\xff\xfe", b"[" * 100_000, b"[]", None])
def test_a_file_that_is_no_review(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "r.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SafetuneError, match=r"export it again|give the path") as error:
        review.read_review(path, items=ITEMS)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_a_changed_draft_makes_other_items(tmp_path: Path) -> None:
    path = written(tmp_path / "r.json")
    for key in ("id", "prompt", "text"):
        with pytest.raises(SafetuneError, match="other items"):
            review.read_review(path, items=[ITEMS[0] | {key: "changed"}, *ITEMS[1:]])
    # What no reviewer sees may change.
    review.read_review(path, items=[item | {"category": "home"} for item in ITEMS])


def reviewed(reviewer: str, choices: dict[str, str], items: list[dict[str, str]] = ITEMS) -> Review:
    """A review from id -> ``accept``, ``reject`` or the text of an edit."""
    decisions = {}
    for name, choice in choices.items():
        kind = choice if choice in ("accept", "reject") else "edit"
        text = choice if kind == "edit" else next(item["text"] for item in items if item["id"] == name)
        decisions[name] = Decision(
            id=name,
            decision=kind,
            text=text,
            reason=review.REASONS[len(reviewer) % 6] if kind == "reject" else "",
        )
    return Review(reviewer=reviewer, items=review.items_hash(items), decisions=decisions)


def test_a_row_stands_if_all_who_decided_keep_it() -> None:
    items = [item | {"category": "home"} for item in ITEMS]
    first = reviewed("A", {"d1": "accept", "d2": "accept", "d3": "reject"})
    second = reviewed("BB", {"d1": "Second's text.", "d3": "reject"})
    third = reviewed("CCC", {"d1": "Third's text.", "d2": "reject"})
    kept, dropped = review.apply(items, [first, second, third])
    assert kept == [items[0] | {"text": "Second's text."}]
    assert dropped == [
        items[1] | {"reasons": [review.REASONS[3]]},
        items[2] | {"reasons": [review.REASONS[1], review.REASONS[2]]},
        items[3] | {"reasons": ["not reviewed"]},
    ]
    # The first edit in the order given.
    assert review.apply(items, [third, second])[0] == [items[0] | {"text": "Third's text."}]
    assert [r["id"] for r in review.apply(items, [first])[0]] == ["d1", "d2"]
    assert [r["reasons"] for r in review.apply(items, [])[1]] == [["not reviewed"]] * 4
    assert items == [item | {"category": "home"} for item in ITEMS]  # nothing given is changed


def test_reviews_that_cannot_be_applied() -> None:
    review_a = reviewed("A", {"d1": "accept"})
    with pytest.raises(SafetuneError, match="two reviews are by 'A'"):
        review.apply(ITEMS, [review_a, review_a])
    with pytest.raises(SafetuneError, match="other items"):
        review.apply(ITEMS[:2], [review_a])


def pair(counts: dict[tuple[str, str], int]) -> tuple[Review, Review]:
    """Two reviews with so many rows of each pair of choices."""
    choices = [both for both, n in counts.items() for _ in range(n)]
    items = [{"id": f"r{n}", "prompt": "p", "text": "t"} for n in range(len(choices) + 2)]
    # A row that only one decided.
    first = {f"r{n}": a for n, (a, _) in enumerate(choices)} | {f"r{len(choices)}": "accept"}
    second = {f"r{n}": b for n, (_, b) in enumerate(choices)} | {f"r{len(choices) + 1}": "reject"}
    return reviewed("A", first, items), reviewed("B", second, items)


def test_kappa_of_a_case_worked_by_hand() -> None:
    # Of 50 rows both keep 20, only the first 5, only the second 10, neither 15. Agreed: 35/50 = 0.7; by
    # chance 0.5·0.6 + 0.5·0.4 = 0.5; κ = 0.2/0.5 = 0.4. Fleiss's variance is (A + B - C) / 0.5² / 50 with A =
    # 0.4·(1 - 1.1·0.6)² + 0.3·(1 - 0.9·0.6)² = 0.10972, B = 0.6²·(0.1·1.1² + 0.2·0.9²) = 0.10188, C = (0.4 -
    # 0.5·0.6)² = 0.01.
    result = review.compare_reviews(
        *pair(
            {
                ("accept", "accept"): 12,
                ("mended", "accept"): 5,
                ("accept", "mended"): 3,
                ("accept", "reject"): 4,
                ("mended", "reject"): 1,
                ("reject", "accept"): 10,
                ("reject", "reject"): 15,
            }
        )
    )
    assert (result.n, result.agreed, result.note) == (50, 0.7, "")
    assert result.kappa == pytest.approx(0.4)
    error = math.sqrt((0.10972 + 0.10188 - 0.01) / 0.5**2 / 50)
    assert (result.low, result.high) == pytest.approx((0.4 - 1.96 * error, 0.4 + 1.96 * error), abs=1e-3)
    assert result.table.to_numpy().tolist() == [[12, 3, 4], [5, 0, 1], [10, 0, 15]]
    assert list(result.table.index) == list(result.table.columns) == ["accept", "edit", "reject"]


@pytest.mark.parametrize("answer", ["accept", "reject"])
def test_kappa_is_undefined_where_all_is_one_answer(answer: str) -> None:
    result = review.compare_reviews(*pair({(answer, answer): 6}))
    assert all(math.isnan(value) for value in (result.kappa, result.low, result.high))
    assert (result.agreed, result.n) == (1.0, 6)
    assert ("kept" if answer == "accept" else "rejected") in result.note
    assert "undefined" in result.note


@pytest.mark.parametrize(
    ("counts", "kappa"),
    [
        ({("accept", "accept"): 3, ("reject", "reject"): 2}, 1.0),
        ({("accept", "reject"): 3, ("reject", "accept"): 3}, -1.0),
        ({("accept", "accept"): 3, ("accept", "reject"): 2}, 0.0),  # the first never varies
    ],
)
def test_no_interval_where_the_formula_gives_one_of_no_width(
    counts: dict[tuple[str, str], int], kappa: float
) -> None:
    result = review.compare_reviews(*pair(counts))
    assert result.kappa == pytest.approx(kappa)
    assert math.isnan(result.low)
    assert math.isnan(result.high)
    assert "no width" in result.note


def test_an_interval_stays_between_minus_one_and_one() -> None:
    result = review.compare_reviews(
        *pair({("accept", "accept"): 5, ("reject", "reject"): 4, ("accept", "reject"): 1})
    )
    assert result.high == 1.0
    assert -1 < result.low < result.kappa < 1


def test_agreement_of_nothing_and_of_different_items() -> None:
    result = review.compare_reviews(*pair({}))
    assert all(math.isnan(value) for value in (result.kappa, result.low, result.high, result.agreed))
    assert (result.n, result.note, int(result.table.to_numpy().sum())) == (0, "no row was decided by both", 0)
    with pytest.raises(SafetuneError, match="different items"):
        review.compare_reviews(reviewed("A", {}), reviewed("B", {}, ITEMS[:2]))
