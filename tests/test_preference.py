"""The blind comparison: its page driven in a real browser, what is read back of it, and the figures made of
that.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from browsing import CONTRAST, another_tab, export, got_through, leave_and_return, opening, press

from safetune_utils import store
from safetune_utils.annotation import drafting, paper_study, preference, tallies
from safetune_utils.annotation.preference import Annotation, PairItem
from safetune_utils.errors import SafetuneError
from safetune_utils.scoring import refusal_rules
from safetune_utils.scoring.judge import compare, position_bias

if TYPE_CHECKING:
    from playwright.sync_api import Page

PROMPTS = [f"Question {number}?" for number in range(1, 7)]
TUNED = [f"Careful answer {number}." for number in range(1, 7)]
PLAIN = [f"Ready answer {number}." for number in range(1, 7)]
SETS = ["malicious"] * 4 + ["ordinary"] * 2
BLIND = {"first_name": "tuned-500", "second_name": "untuned-0", "seed": 3}
ITEMS = preference.pairs(PROMPTS, TUNED, PLAIN, prompt_sets=SETS, **BLIND)
HOSTILE = preference.pairs(
    [
        "</script><img src=x onerror=\"window.ran='prompt'\"> {{data}} {{policy}} ${7*7} &lt;b&gt; <!--<script>",
        "toString",
    ],
    [
        "one\u2028two\u2029three\r\n  <svg onload=\"window.ran='a'\"></textarea><script>window.ran='script'</script> \\u003c \\",
        "",
    ],
    ["<a href=\"javascript:window.ran='link'\">x</a> [x](javascript:alert(1))\ttab", " \n"],
    ids=["</script><b id=bold>", "__proto__"],
    **BLIND,
)


# ---- the items


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


# ---- the page in a browser


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Iterator[Callable[..., Page]]:
    """Opens the page of some items."""
    with opening(browser, tmp_path / "study.html") as open_html:
        yield lambda items=ITEMS, **options: open_html(
            preference.page(items, title="Which <1>?", note="Judge & choose"), **options
        )


def progress(page: Page) -> str:
    return page.inner_text("#progress")


def sign(page: Page, name: str = "A. B.") -> None:
    page.focus("#annotator")
    page.keyboard.type(name)
    press(page, "Enter")


def better(item: PairItem) -> str:
    """The key that prefers the tuned answer of an item."""
    return "1" if item.first_is_a else "2"


def test_a_whole_session_by_keys_is_tallied_as_it_was_pressed(
    opened: Callable[..., Page], tmp_path: Path
) -> None:
    page = opened(accept_downloads=True)
    assert progress(page) == "0 of 6 judged"
    press(page, "Tab")  # the name is the first stop
    page.keyboard.type("A. B.")
    press(page, "Enter", better(ITEMS[0]), "3", "4")
    assert page.inner_text("#heading") == "Item 4 of 6"
    press(page, "u")  # the 4 was a slip
    assert page.inner_text("#status") == "Item 3 is open again."
    press(page, better(ITEMS[2]))
    assert leave_and_return(page) == ["beforeunload"]
    assert (progress(page), page.inner_text("#heading"), page.input_value("#annotator")) == (
        "3 of 6 judged",
        "Item 4 of 6",
        "A. B.",
    )
    assert page.inner_text("#status") == "Kept from before: 3 of 6 judged (A. B.). Someone else? Start over."
    press(page, {"1": "ArrowRight", "2": "ArrowLeft"}[better(ITEMS[3])])  # the untuned one
    path = export(page, tmp_path)
    assert path.name == "annotation-A-B-.json"
    assert page.inner_text("#status") == f"Exported to {path.name}: 4 judged, 2 not judged yet: items 5 to 6."
    assert preference.read_annotation(path, items=ITEMS).outcomes == dict(
        zip([item.id for item in ITEMS], ("first", "equally_good", "first", "second"), strict=False)
    )
    press(page, "4", better(ITEMS[5]))
    path = export(page, tmp_path)
    assert page.inner_text("#status") == f"Exported to {path.name}: 6 judged, none is left open."
    assert leave_and_return(page) == []
    content = json.loads(path.read_text("utf-8"))
    assert set(content) == {"form", "page", "items", "annotator", "kind", "decisions"}
    assert not any(name in path.read_text("utf-8") for name in ("tuned-500", "first"))
    annotation = preference.read_annotation(path, items=ITEMS)
    assert (annotation.annotator, annotation.kind, annotation.study) == (
        "A. B.",
        "person",
        preference.study_hash(ITEMS),
    )
    row = tallies.tally([annotation], ITEMS).iloc[-1]
    assert row[["prompt_set", "annotator", "kind", "first", "second"]].tolist() == [
        "all sets",
        "A. B.",
        "person",
        "tuned-500",
        "untuned-0",
    ]
    assert row[["first_better", "second_better", "equally_good", "equally_bad", "n", "missing"]].tolist() == [
        3,
        1,
        1,
        1,
        6,
        0,
    ]
    assert row["win_rate"] == pytest.approx(4 / 6)


def test_every_key_means_what_the_help_says_and_has_a_button(
    opened: Callable[..., Page], tmp_path: Path
) -> None:
    page = opened(accept_downloads=True)
    for keys, word in (
        (("1", "a", "A", "ArrowLeft"), "A better"),
        (("2", "b", "ArrowRight"), "B better"),
        ("3", "equally good"),
        ("4", "equally bad"),
    ):
        for key in keys:
            press(page, key, "k")
            assert (page.inner_text("#verdict"), page.inner_text("#heading")) == (word, "Item 1 of 6")
            press(page, "u")
    button = functools.partial(page.get_by_role, "button", exact=True)
    for name in (
        "A better",
        "B better",
        "Equally good",
        "Equally bad",
        "A better",
        "Undo",
        "A better",
        "Back",
    ):
        button(name=name).click()
    assert page.get_by_role("button", pressed=True).inner_text().startswith("A better")
    button(name="Next").click()
    assert page.inner_text("#status") == "Item 6 of 6."
    button(name="Help").click()
    assert page.get_by_role("dialog", name="Keys").is_visible()
    button(name="Close").click()
    page.get_by_label("Your name or initials").fill("CD")
    with page.expect_download() as download:
        button(name="Export").click()
    download.value.save_as(tmp_path / "a.json")
    assert [row["choice"] for row in json.loads((tmp_path / "a.json").read_text())["decisions"]] == [
        "A",
        "B",
        "equally_good",
        "equally_bad",
        "A",
    ]


def test_undo_gives_back_what_stood_before(opened: Callable[..., Page]) -> None:
    page = opened()
    press(page, "1", "k", "2", "4")  # changed its mind on the first
    press(page, "u")
    assert (page.inner_text("#heading"), page.inner_text("#verdict")) == ("Item 2 of 6", "not judged")
    press(page, "u")
    assert (page.inner_text("#heading"), page.inner_text("#verdict")) == ("Item 1 of 6", "A better")
    press(page, "u", "u")
    assert (progress(page), page.inner_text("#status")) == ("0 of 6 judged", "There is nothing to undo.")


def test_keys_do_not_act_in_the_name_or_when_held_down_or_turned_off(opened: Callable[..., Page]) -> None:
    page = opened()
    sign(page, "a1 b2 34 jkxu?")
    assert page.input_value("#annotator") == "a1 b2 34 jkxu?"
    press(page, "Control+a", "Enter")
    assert progress(page) == "0 of 6 judged"
    page.keyboard.down("ArrowLeft")
    page.keyboard.down("ArrowLeft")  # the repeat of a held key
    page.keyboard.up("ArrowLeft")
    assert progress(page) == "1 of 6 judged"
    press(page, "?", "1")  # and none acts behind the help
    page.get_by_label("Single keys act").uncheck()
    press(page, "Escape", "1")
    leave_and_return(page)
    press(page, "1")
    assert progress(page) == "1 of 6 judged"


def test_no_export_without_a_name_or_a_choice(opened: Callable[..., Page]) -> None:
    page = opened(accept_downloads=True)
    downloads: list[Any] = []
    page.on("download", lambda download: downloads.append(download))
    press(page, "1", "x")
    assert page.inner_text("#nameless") == "Write your name or initials first: the export needs them."
    page.keyboard.type("AB")
    press(page, "Enter", "u", "x")
    assert "Nothing is judged yet" in page.inner_text("#status")
    page.wait_for_timeout(300)
    assert downloads == []


def test_choices_belong_to_one_study_and_one_annotator(opened: Callable[..., Page], tmp_path: Path) -> None:
    page = opened()
    sign(page)
    press(page, "1")
    (tmp_path / "study.html").write_text(preference.page(ITEMS[:3], title="Another"), "utf-8")
    leave_and_return(page)
    assert (progress(page), page.input_value("#annotator")) == ("0 of 3 judged", "")
    (tmp_path / "study.html").write_text(preference.page(ITEMS, title="The first again"), "utf-8")
    leave_and_return(page)
    assert progress(page) == "1 of 6 judged"
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Start over").click()
    page.get_by_text("Started over.").wait_for()
    leave_and_return(page)
    assert (progress(page), page.input_value("#annotator")) == ("0 of 6 judged", "")


def test_two_tabs_do_not_write_over_each_other(opened: Callable[..., Page]) -> None:
    first = opened()
    second = another_tab(first)
    press(first, "1")
    second.get_by_text("1 of 6 judged").wait_for()
    press(second, "j", "2")
    first.get_by_text("2 of 6 judged").wait_for()


def test_blocked_storage_is_told_and_all_else_works(opened: Callable[..., Page], tmp_path: Path) -> None:
    blocked = "Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('denied', 'SecurityError'); } });"
    page = opened(script=blocked, accept_downloads=True)
    assert (
        page.inner_text("#unkept")
        == "This browser keeps no choices for this page: export before you close it."
    )
    sign(page)
    press(page, "3", "j", "2")
    assert set(preference.read_annotation(export(page, tmp_path), items=ITEMS).outcomes) == {
        ITEMS[0].id,
        ITEMS[2].id,
    }
    assert page.inner_text("#status").endswith("2 judged, 4 not judged yet: items 2, 4 to 6.")
    assert opened().locator("#unkept").is_hidden()


def test_spoilt_storage_is_left_aside(opened: Callable[..., Page]) -> None:
    page = opened()
    for spoilt in ("null", "{", "7", '"A"', '{"choice": "C"}', '{"choice": {}}', '{"choice": "toString"}'):
        page.evaluate(
            "(text) => [KEPT, keyOf(items[0].id)].forEach((key) => localStorage.setItem(key, text))", spoilt
        )
        leave_and_return(page)
        assert (progress(page), page.input_value("#annotator")) == ("0 of 6 judged", "")


def test_hostile_text_is_shown_as_text_and_read_back(opened: Callable[..., Page], tmp_path: Path) -> None:
    page = opened(HOSTILE, accept_downloads=True)
    assert page.title() == "Which <1>?"
    assert page.inner_text("#note") == "Judge & choose"
    for item in HOSTILE:
        assert (page.text_content("#prompt"), page.text_content("#a"), page.text_content("#b")) == (
            item.prompt,
            item.a,
            item.b,
        )
        assert page.evaluate("getComputedStyle($('a')).whiteSpace") == "pre-wrap"
        empty = [not item.a.strip(), not item.b.strip()]
        assert [page.locator("#none-a").is_visible(), page.locator("#none-b").is_visible()] == empty
        press(page, "1")
    page.wait_for_timeout(200)
    assert page.evaluate("[window.ran, document.querySelectorAll('img, svg, b, a, main script').length]") == [
        None,
        0,
    ]
    sign(page, "</title><b>")
    made = preference.read_annotation(export(page, tmp_path), items=HOSTILE)
    assert made.annotator == "</title><b>"
    assert made.outcomes == {item.id: "first" if item.first_is_a else "second" for item in HOSTILE}


def test_the_page_can_reach_no_network_and_runs_no_other_script(browser: Any, tmp_path: Path) -> None:
    html = preference.page(ITEMS, title="Study")
    assert got_through(browser, tmp_path / "study.html", html) == set()
    # The same attempts do get through without the policy, so that silence with it means something.
    assert got_through(browser, tmp_path / "study.html", re.sub(r"<meta http-equiv[^>]*>", "", html)) == {
        "network",
        "markup",
        "script",
    }


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_focus_stand_out_in_light_and_dark(opened: Callable[..., Page], scheme: str) -> None:
    page = opened([item for item in HOSTILE if not item.a.strip()] + ITEMS, color_scheme=scheme)
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", ground))) > 600) is (scheme == "light")
    for keys in ((), ("1", "k"), ("j", "2", "k"), ("j", "3", "k"), ("j", "4", "k"), ("x",), ("Enter", "?")):
        press(page, *keys)
        assert [row for row in page.evaluate(CONTRAST) if row[0] < 4.5] == [], keys
    press(page, "Escape")
    page.focus("#annotator")
    stops = ["annotator"]
    while True:
        press(page, "Tab")
        stop, *outline = page.evaluate(
            "(e => [e.id || e.innerText, getComputedStyle(e).outlineStyle, getComputedStyle(e).outlineWidth])(document.activeElement)"
        )
        if stop in stops or page.evaluate("document.activeElement === document.body"):
            break
        assert outline == ["solid", "3px"], stop
        stops.append(stop)
    assert len(stops) == 4 + 7 + 7  # the head, the choices and moves, the list


@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_runs_out_of_a_narrow_window(opened: Callable[..., Page], width: int) -> None:
    long = preference.pairs(["word" * 200] * 60, ["w" * 2000] * 60, ["many words " * 400] * 60, **BLIND)
    page = opened(long, viewport={"width": width, "height": 740})
    for keys in ((), ("1",), ("?",)):
        press(page, *keys)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    press(page, "Escape", "j")
    for button in page.locator("#dock button").all():
        box = button.bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
        assert box["y"] + box["height"] <= 740  # the dock is always in sight


def test_labels_and_live_status_for_a_screen_reader(opened: Callable[..., Page]) -> None:
    page = opened()
    press(page, "1")
    assert page.get_by_role("status").inner_text() == "Item 1: A better. Now item 2."
    assert page.get_by_role("progressbar", name="1 of 6 judged").count() == 1
    assert (
        page.get_by_role("navigation", name="All items")
        .get_by_role("button", name="1 A better", exact=True)
        .count()
        == 1
    )
    assert page.get_by_role("group", name="Which answer is better?").get_by_role("button").count() == 4
    assert page.get_by_role("region", name="Answer B").inner_text() == f"Answer B\n{ITEMS[1].b}"


# ---- an annotation that is read


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


# ---- what is made of annotations


def annotated(
    annotator: str, outcomes: str, *, kind: str = "person", items: list[PairItem] = ITEMS
) -> Annotation:
    """One letter an item in the order of the prompts: w(in), l(oss), g(ood), b(ad), or a dot for none."""
    words = {"w": "first", "l": "second", "g": "equally_good", "b": "equally_bad"}
    made = {str(number): words[letter] for number, letter in enumerate(outcomes, 1) if letter != "."}
    return Annotation(annotator=annotator, kind=kind, study=preference.study_hash(items), outcomes=made)


def test_tally_counts_each_annotator_and_pools_people_apart_from_models() -> None:
    annotations = [
        annotated("A", "wwwgll"),
        annotated("B", "wwbg.."),
        annotated("judge", "lllll.", kind="model"),
    ]
    table = tallies.tally(annotations, ITEMS)
    counts = ["first_better", "second_better", "equally_good", "equally_bad", "n", "missing"]
    made = {
        (row["prompt_set"], row["annotator"], row["kind"]): [*row[counts], round(row["win_rate"], 4)]
        for _, row in table.iterrows()
    }
    assert made == {
        ("malicious", "A", "person"): [3, 0, 1, 0, 4, 0, 0.875],
        ("malicious", "B", "person"): [2, 0, 1, 1, 4, 0, 0.75],
        ("malicious", "judge", "model"): [0, 4, 0, 0, 4, 0, 0.0],
        ("malicious", "all 2 people", "person"): [5, 0, 2, 1, 8, 0, 0.8125],
        ("ordinary", "A", "person"): [0, 2, 0, 0, 2, 0, 0.0],
        ("ordinary", "B", "person"): [0, 0, 0, 0, 0, 2, pytest.approx(math.nan, nan_ok=True)],
        ("ordinary", "judge", "model"): [0, 1, 0, 0, 1, 1, 0.0],
        ("ordinary", "all 2 people", "person"): [0, 2, 0, 0, 2, 2, 0.0],
        ("all sets", "A", "person"): [3, 2, 1, 0, 6, 0, 0.5833],
        ("all sets", "B", "person"): [2, 0, 1, 1, 4, 2, 0.75],
        ("all sets", "judge", "model"): [0, 5, 0, 0, 5, 1, 0.0],
        ("all sets", "all 2 people", "person"): [5, 2, 2, 1, 10, 2, 0.65],
    }
    assert (
        (table["low"] <= table["win_rate"]) & (table["win_rate"] <= table["high"]) | table["win_rate"].isna()
    ).all()
    one_set = tallies.tally(annotations, preference.pairs(PROMPTS, TUNED, PLAIN, **BLIND))
    assert list(one_set["prompt_set"]) == ["prompts"] * 4  # no rows of all sets where there is one


def test_a_habit_of_one_side_is_seen() -> None:
    always_a = preference.from_judge(
        ["first" if item.first_is_a else "second" for item in ITEMS], ITEMS, name="lazy judge"
    )
    row = tallies.tally([always_a], ITEMS).iloc[-1]
    assert (row["chose_a"], row["win_rate"]) == (1.0, 0.5)


def test_a_judge_is_named_as_a_model_in_the_tally_and_in_its_file(tmp_path: Path) -> None:
    given = ["first", "second", None, "equally_good", "equally_bad", "first"]
    judge = preference.from_judge(given, ITEMS, name="judge-7b")
    assert judge.outcomes == {item.id: outcome for item, outcome in zip(ITEMS, given, strict=True) if outcome}
    assert set(tallies.tally([judge], ITEMS)["kind"]) == {"model"}
    path = tmp_path / "judge.json"
    preference.write_annotation(judge, path, items=ITEMS)
    content = json.loads(path.read_text("utf-8"))
    assert content["kind"] == "model"
    assert content["decisions"][0] == {"id": ITEMS[0].id, "choice": "A" if ITEMS[0].first_is_a else "B"}
    assert preference.read_annotation(path, items=ITEMS) == judge
    for outcomes, name, word in (
        (given[:5], "j", "6 items and 5 outcomes"),
        ([*given[:5], "A"], "j", "'A' is no outcome"),
        (given, " ", "no name"),
    ):
        with pytest.raises(SafetuneError, match=word):
            preference.from_judge(outcomes, ITEMS, name=name)


def test_agreement_of_two_people_and_a_model() -> None:
    # A and B agree on four of six, by chance on (4·4 + 1·1 + 1·1)/6 = 3: κ = (4 - 3)/(6 - 3). For α, of
    # twelve ratings 8 are wins, 2 losses, 2 ties, and 4 stand against another: 1 - 11·4/(144 - 64 - 4 - 4).
    annotations = [annotated("A", "wwwwlg"), annotated("B", "wwgwlw")]
    table = tallies.annotator_agreement(
        [*annotations, annotated("judge", "wwww..", kind="model")], ITEMS
    ).set_index("annotators")
    assert list(table.index) == ["A and B", "A and judge", "B and judge", "all 2 people", "all 3 annotators"]
    assert list(table["n"]) == [6, 4, 4, 6, 6]
    assert table.loc["A and B", ["measure", "value"]].tolist() == ["Cohen's κ", pytest.approx(1 / 3)]
    assert "κ is undefined" in table.loc["A and judge", "note"]
    assert table.loc["all 2 people", ["measure", "value"]].tolist() == [
        "Krippendorff's α",
        pytest.approx(1 - 44 / 72),
    ]
    assert "all 3 annotators" not in tallies.annotator_agreement(annotations, ITEMS)["annotators"].to_list()


def test_annotations_that_do_not_go_together() -> None:
    one = annotated("A", "w.....")
    for made, word in (
        ([], "no annotation"),
        ([one, one], "two annotations are by 'A'"),
        ([dataclasses.replace(one, study="0")], "other items"),
    ):
        with pytest.raises(SafetuneError, match=word):
            tallies.tally(made, ITEMS)
    with pytest.raises(SafetuneError, match="takes two annotations"):
        tallies.annotator_agreement([one], ITEMS)


# ---- the paper's own study


def test_the_paper_s_tallies_are_whole_and_give_its_kappas() -> None:
    table = paper_study.paper_tallies()
    assert set(table["n"]) == {50}
    assert len(table) == 8
    for (_, kappa), rows in table.groupby(["n_safety", "kappa"]):
        both = (
            rows.groupby("annotator")[["first_better", "second_better", "equally_good", "equally_bad"]]
            .sum()
            .to_numpy()
            / 100
        )
        chance = float((both[0] * both[1]).sum())
        # κ is not in the counts, but only one number of prompts that the two agree on goes with both.
        assert (
            len(
                [agreed for agreed in range(101) if round((agreed / 100 - chance) / (1 - chance), 2) == kappa]
            )
            == 1
        )
    row = table[(table["n_safety"] == 500) & (table["prompt_set"] == "malicious")].iloc[0]
    assert row["win_rate"] == pytest.approx((47 + 1.5) / 50)
    assert 0.9 < row["low"] < row["win_rate"] < row["high"] <= 1
    benign = table[table["prompt_set"] == "AlpacaEval"]
    assert (benign["win_rate"] - 0.5).abs().max() < 0.07
    assert set(tallies.tally([annotated("A", "w.....")], ITEMS).columns) - set(table.columns) == {"chose_a"}


def test_the_paper_s_agreement_is_what_counts_and_kappa_fix_and_bounds_elsewhere() -> None:
    table = paper_study.paper_agreement().set_index(["n_safety", "prompt_set"])
    both = table.xs(preference.ALL_SETS, level="prompt_set")
    assert both["kappa"].to_list() == [0.82, 0.89]
    assert both["agreed"].to_list() == [90, 94]
    assert (both["low"] < both["kappa"]).all()
    # +500, malicious: tuned 47 and 45, equally good 2 and 4, equally bad 1 and 1 of 50. At most 45 + 2 + 1
    # agree, at least 42.
    one = table.loc[(500, "malicious")]
    chance = (47 * 45 + 2 * 4 + 1) / 2500
    assert one["kappa_most"] == pytest.approx((48 / 50 - chance) / (1 - chance))
    assert one["kappa_least"] == pytest.approx((42 / 50 - chance) / (1 - chance))
    assert math.isnan(one["kappa"])


# ---- the chapter


def test_pairs_of_amounts_lay_each_prompt_s_two_answers_side_by_side() -> None:
    rows = [
        {"prompt_set": kind, "prompt_id": f"{kind}-{i}", "prompt": f"{kind} {i}?", "n_safety": n, "seed": seed, "response": f"{kind} {i}, {n}, {seed}"}
        for n in (0, 50, 200) for seed in (1, 2) for kind in ("ordinary", "malicious") for i in (3, 1, 2)
    ]  # fmt: skip
    items = preference.pairs_of_amounts(pd.DataFrame(rows), first=200, second=0, per_set=2, seed=5)
    assert sorted(item.id for item in items) == [
        "malicious-1",
        "malicious-3",
        "ordinary-1",
        "ordinary-3",
    ]  # the first two as they stand
    for item in items:
        kind, number = item.id.split("-")
        responses = [f"{kind} {number}, {n}, 1" for n in (200, 0)]
        assert [item.a, item.b] == (responses if item.first_is_a else responses[::-1])
        assert (item.prompt, item.prompt_set) == (f"{kind} {number}?", kind)
        assert (item.first_name, item.second_name) == ("200 safety examples", "0 safety examples")


def test_the_lead_is_people_s_and_of_one_set() -> None:
    # On the four malicious items A has two wins and two losses, B four wins: 6 of 8, so a lead of one half.
    given = [annotated("A", "wwllll"), annotated("B", "wwwwll"), annotated("judge", "llllll", kind="model")]
    lead = tallies.lead(given, ITEMS, prompt_set="malicious")
    assert (lead.difference, lead.n_pairs) == (pytest.approx(0.5), 4)
    assert -1 <= lead.low < 0.5 < lead.high <= 1
    nobody = tallies.lead(given[2:], ITEMS, prompt_set="malicious")
    assert (nobody.n_pairs, nobody.direction) == (0, "not seen")


def test_the_stand_ins_exports_are_what_the_judge_replied_and_the_rule_says() -> None:
    folder = drafting.recorded_folder() / "preference"
    careful, eager = (store.read_lines(folder / f"{name}.jsonl") for name in ("careful", "eager"))
    assert [row["prompt"] for row in careful] == [row["prompt"] for row in eager]
    items = preference.pairs(
        [row["prompt"] for row in careful], [row["response"] for row in careful], [row["response"] for row in eager],
        first_name="careful", second_name="eager", seed=7, prompt_sets=[row["prompt_set"] for row in careful],
    )  # fmt: skip
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
