"""The page of the blind comparison, driven in a real browser."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from browsing import CONTRAST, another_tab, export, got_through, leave_and_return, opening, press
from pair_items import BLIND, HOSTILE, ITEMS

from safetune_utils.annotation import preference, tallies
from safetune_utils.annotation.preference import PairItem

if TYPE_CHECKING:
    from playwright.sync_api import Page


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
    page.focus("#name")
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
    assert (progress(page), page.inner_text("#heading"), page.input_value("#name")) == (
        "3 of 6 judged",
        "Item 4 of 6",
        "A. B.",
    )
    assert page.inner_text("#status") == "Kept from before: 3 of 6 judged (A. B.). Someone else? Start over."
    press(page, {"1": "ArrowRight", "2": "ArrowLeft"}[better(ITEMS[3])])  # the untuned one
    path = export(page, tmp_path)
    assert path.name == "annotation-study-A-B-.json"
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
    assert page.input_value("#name") == "a1 b2 34 jkxu?"
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
    assert (progress(page), page.input_value("#name")) == ("0 of 3 judged", "")
    (tmp_path / "study.html").write_text(preference.page(ITEMS, title="The first again"), "utf-8")
    leave_and_return(page)
    assert progress(page) == "1 of 6 judged"
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Start over").click()
    page.get_by_text("Started over.").wait_for()
    leave_and_return(page)
    assert (progress(page), page.input_value("#name")) == ("0 of 6 judged", "")


def test_two_tabs_do_not_write_over_each_other(opened: Callable[..., Page]) -> None:
    first = opened()
    second = another_tab(first)
    press(first, "1")
    second.get_by_text("1 of 6 judged").wait_for()
    press(second, "j", "2")
    first.get_by_text("2 of 6 judged").wait_for()


def test_blocked_storage_is_told_and_all_else_works(opened: Callable[..., Page], tmp_path: Path) -> None:
    blocked = (
        "Object.defineProperty(window, 'localStorage', "
        "{ get() { throw new DOMException('denied', 'SecurityError'); } });"
    )
    page = opened(script=blocked, accept_downloads=True)
    assert (
        page.inner_text("#unkept")
        == "This browser keeps nothing of what you do here: export before you close the page."
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
        assert (progress(page), page.input_value("#name")) == ("0 of 6 judged", "")


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
    page.focus("#name")
    stops = ["name"]
    while True:
        press(page, "Tab")
        stop, *outline = page.evaluate(
            "(e => [e.id || e.innerText, getComputedStyle(e).outlineStyle, getComputedStyle(e).outlineWidth])"
            "(document.activeElement)"
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
