"""The blind comparison: its items, and what is read back of it."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from pair_items import BLIND, HOSTILE, ITEMS, PLAIN, PROMPTS, TUNED

from safetune_utils import store
from safetune_utils.annotation import drafting, preference
from safetune_utils.annotation.preference import PairItem
from safetune_utils.errors import SafetuneError
from safetune_utils.scoring import refusal_rules
from safetune_utils.scoring.judge import compare, position_bias

if TYPE_CHECKING:
    pass


def test_pairs_keep_answers_with_their_prompts_and_shuffle_by_the_seed() -> None:
    ids = [f"p{number}" for number in range(50)]
    texts = {name: [f"{name} {number}" for number in range(50)] for name in ("prompt", "tuned", "plain")}

    def made(seed: int) -> list[PairItem]:
        return preference.pairs(
            texts["prompt"],
            texts["tuned"],
            texts["plain"],
            first_name="t",
            second_name="u",
            seed=seed,
            ids=ids,
        )

    for item in made(0):
        number = item.id[1:]
        assert item.prompt == f"prompt {number}"
        assert (item.a, item.b) == (
            (f"tuned {number}", f"plain {number}")
            if item.first_is_a
            else (f"plain {number}", f"tuned {number}")
        )
    assert sum(item.first_is_a for item in made(0)) == 25
    assert sorted(item.id for item in made(0)) == sorted(ids)
    assert made(0) == made(0)
    runs = [made(seed) for seed in range(4)]
    assert len({tuple(item.id for item in items) for items in runs}) == 4
    assert len({tuple(sorted(item.id for item in items if item.first_is_a)) for items in runs}) == 4
    assert [item.id for item in runs[0]] != ids  # and not the order they came in


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"prompts": [], "first": [], "second": []}, "nothing to compare"),
        ({"second": ["x"]}, "2 prompts and 1 entries in 'second'"),
        ({"ids": ["a", "a"]}, "'a' comes twice"),
        ({"ids": ["a", " "]}, "not empty"),
        ({"prompts": ["p", ""]}, "not empty"),
        ({"first": ["x", None]}, "two texts"),
        ({"second_name": "one"}, "a name of its own"),
        ({"first_name": ""}, "a name of its own"),
    ],
)
def test_items_that_cannot_be_compared(changed: dict[str, Any], word: str) -> None:
    given = {
        "prompts": ["p", "q"],
        "first": ["x", "y"],
        "second": ["v", "w"],
        "first_name": "one",
        "second_name": "two",
    } | changed
    with pytest.raises(SafetuneError, match=word) as error:
        preference.pairs(given.pop("prompts"), given.pop("first"), given.pop("second"), seed=0, **given)
    assert "\n" not in str(error.value)


def test_the_page_holds_nothing_that_depends_on_whose_side_is_whose() -> None:
    html = preference.page(ITEMS, title="Study")
    # The same two answers on the same sides, with every model and name the other way round, is the same page
    # to the byte.
    turned = [
        dataclasses.replace(
            item, first_is_a=not item.first_is_a, first_name="x", second_name="y", prompt_set="z"
        )
        for item in ITEMS
    ]
    assert preference.page(turned, title="Study") == html
    assert not any(word in html for word in ("tuned-500", "untuned-0", "malicious", "first_is_a"))
    assert not any(word in repr(ITEMS[0]) for word in ("tuned-500", "first_is_a"))


def test_the_data_cannot_end_its_script() -> None:
    data = re.search(
        r'<script type="application/json" id="data">(.*)</script>\n<script>',
        preference.page(HOSTILE, title="</script>", note="<!--"),
    )
    assert data is not None
    assert not re.search("[<>&\u2028\u2029]", data[1])
    assert json.loads(data[1])["items"] == [
        {"id": item.id, "prompt": item.prompt, "a": item.a, "b": item.b} for item in HOSTILE
    ]


def test_pairs_of_amounts_lay_each_prompt_s_two_answers_side_by_side() -> None:
    rows = [
        {
            "prompt_set": kind,
            "prompt_id": f"{kind}-{i}",
            "prompt": f"{kind} {i}?",
            "n_safety": n,
            "seed": seed,
            "response": f"{kind} {i}, {n}, {seed}",
        }
        for n in (0, 50, 200)
        for seed in (1, 2)
        for kind in ("ordinary", "malicious")
        for i in (3, 1, 2)
    ]
    items = preference.pairs_of_amounts(pd.DataFrame(rows), first=200, second=0, per_set=2, seed=5)
    # The first two as they stand.
    assert sorted(item.id for item in items) == [
        "malicious-1",
        "malicious-3",
        "ordinary-1",
        "ordinary-3",
    ]
    for item in items:
        kind, number = item.id.split("-")
        responses = [f"{kind} {number}, {n}, 1" for n in (200, 0)]
        assert [item.a, item.b] == (responses if item.first_is_a else responses[::-1])
        assert (item.prompt, item.prompt_set) == (f"{kind} {number}?", kind)
        assert (item.first_name, item.second_name) == ("200 safety examples", "0 safety examples")


def written(path: Path, decisions: Any = (), **other: Any) -> Path:
    content = {
        "form": "safetune preference 1",
        "page": "0" * 64,
        "items": preference.study_hash(ITEMS),
        "annotator": "AB",
        "kind": "person",
    }
    path.write_text(
        json.dumps(
            content | {"decisions": list(decisions) if isinstance(decisions, tuple) else decisions} | other
        ),
        "utf-8",
    )
    return path


@pytest.mark.parametrize(
    ("decisions", "other", "word"),
    [
        ((), {"form": "safetune review 1"}, "not of the form"),
        ((), {"items": "0" * 64}, "made for other items"),
        ((), {"annotator": " "}, "names no annotator"),
        ((), {"kind": "dog\n"}, r"by a 'dog\\n'"),
        ((), {"kind": ["person"]}, "write person or model"),
        ((), {"page": None}, "lacks the text 'page'"),
        ({"id": "1"}, {}, "the list 'decisions'"),
        (("1",), {}, "decision 1: it needs the texts"),
        (({"id": "1", "choice": 1},), {}, "it needs the texts"),
        (
            ({"id": "1", "choice": "A"}, {"id": "9\n", "choice": "A"}),
            {},
            r"decision 2: no item has the id '9\\n'",
        ),
        (({"id": "1", "choice": "A"}, {"id": "1", "choice": "B"}), {}, "decision 2: '1' is judged twice"),
        (({"id": "1", "choice": "first"},), {}, "'first' is no choice"),
    ],
)
def test_an_annotation_that_does_not_fit(
    tmp_path: Path, decisions: Any, other: dict[str, Any], word: str
) -> None:
    path = written(tmp_path / "a.json", decisions, **other)
    with pytest.raises(SafetuneError, match=word) as error:
        preference.read_annotation(path, items=ITEMS)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b"[" * 100_000, b"[]", None])
def test_a_file_that_is_no_annotation(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "a.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SafetuneError, match=r"export it again|give the path") as error:
        preference.read_annotation(path, items=ITEMS)
    assert "\n" not in str(error.value)


def test_an_annotation_is_not_read_with_other_sides(tmp_path: Path) -> None:
    path = written(tmp_path / "a.json", ({"id": "1", "choice": "A"},))
    for first, second, seed in ((TUNED, PLAIN, 4), (PLAIN, TUNED, 3), ([*TUNED[:5], "changed"], PLAIN, 3)):
        with pytest.raises(SafetuneError, match="other items"):
            preference.read_annotation(
                path, items=preference.pairs(PROMPTS, first, second, **BLIND | {"seed": seed})
            )


def test_the_stand_ins_exports_are_what_the_judge_replied_and_the_rule_says() -> None:
    folder = drafting.recorded_folder() / "preference"
    careful, eager = (store.read_lines(folder / f"{name}.jsonl") for name in ("careful", "eager"))
    assert [row["prompt"] for row in careful] == [row["prompt"] for row in eager]
    items = preference.pairs(
        [row["prompt"] for row in careful],
        [row["response"] for row in careful],
        [row["response"] for row in eager],
        first_name="careful",
        second_name="eager",
        seed=7,
        prompt_sets=[row["prompt_set"] for row in careful],
    )
    by_judge, by_rule = (
        preference.read_annotation(folder / f"{name}.json", items=items) for name in ("judge", "rule")
    )
    assert by_judge.kind == by_rule.kind == "model"  # no people
    replies = compare(
        *([getattr(item, side) for item in items] for side in ("prompt", "a", "b")),
        recorded=folder / "replies.jsonl",
    )
    assert position_bias(replies).share == 0
    for item, reply in zip(items, replies, strict=True):
        side = {"first": "a", "second": "b"}.get(reply.as_given)
        expected = None if side is None else "first" if (side == "a") == item.first_is_a else "second"
        assert by_judge.outcomes.get(item.id) == expected
        first, second = (item.a, item.b) if item.first_is_a else (item.b, item.a)
        refuses = [score.value == 1 for score in refusal_rules.score([item.prompt] * 2, [first, second])]
        right = [one == (item.prompt_set == "malicious") for one in refuses]
        assert (
            by_rule.outcomes[item.id]
            == {(1, 0): "first", (0, 1): "second", (1, 1): "equally_good", (0, 0): "equally_bad"}[
                tuple(map(int, right))
            ]
        )
    text = (folder / "replies.jsonl").read_text("utf-8")
    assert "127.0.0.1" not in text
    assert "/tmp" not in text
