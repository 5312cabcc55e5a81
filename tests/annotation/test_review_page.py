"""The review page, driven in a real browser."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from browsing import another_tab, export, got_through, leave_and_return, press
from draft_items import HOSTILE, ITEMS

from safetune_utils.annotation import review
from safetune_utils.annotation.review import Decision

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


def progress(page: Page) -> str:
    return page.inner_text("#progress")


def name_reviewer(page: Page, name: str = "A. B.") -> None:
    page.focus("#name")
    page.keyboard.type(name)
    press(page, "Enter")


def test_a_review_by_keys_alone_is_read_back(opened: Callable[..., Page], tmp_path: Path) -> None:
    page = opened(accept_downloads=True)
    assert progress(page) == "0 of 4 decided, 0 rejected"
    press(page, "Tab")  # the name is the first stop
    page.keyboard.type("A. B.")
    press(page, "Enter", "a", "r", "3", "e")
    press(page, "Control+End")
    page.keyboard.type(" Ask first.")
    press(page, "Control+Enter")
    assert progress(page) == "3 of 4 decided, 1 rejected"
    assert page.inner_text("#heading") == "Item 4 of 4"
    press(page, "a", "u")  # the last stays open
    assert page.inner_text("#heading") == "Item 4 of 4"
    path = export(page, tmp_path)
    assert path.name == "review-A-B-.json"
    assert page.inner_text("#status") == f"Exported to {path.name}: 3 decided, 1 not decided yet: item 4."
    made = review.read_review(path, items=ITEMS)
    assert made.reviewer == "A. B."
    assert made.decisions == {
        "d1": Decision(id="d1", decision="accept", text=ITEMS[0]["text"], reason=""),
        "d2": Decision(id="d2", decision="reject", text=ITEMS[1]["text"], reason=review.REASONS[2]),
        "d3": Decision(
            id="d3", decision="edit", text="First line.\nThey are not yours to open. Ask first.", reason=""
        ),
    }
    datetime.fromisoformat(json.loads(path.read_text())["exported"])


def test_undo_gives_back_what_stood_before(opened: Callable[..., Page]) -> None:
    page = opened()
    press(page, "e")
    page.keyboard.type("Long work. ")
    press(page, "Control+Enter", "k", "a")  # accepted by mistake over the edit
    assert page.inner_text("#list li:first-child .aside") == "accepted"
    press(page, "u")  # item 2 is open, so this undoes the last decision
    assert page.inner_text("#heading") == "Item 1 of 4"
    assert page.inner_text("#verdict") == "✎ edited"
    assert "Long work." in page.inner_text("#text")
    press(page, "u")
    assert page.inner_text("#verdict") == "not decided"
    assert page.inner_text("#text") == ITEMS[0]["text"]
    press(page, "u")
    assert page.inner_text("#status") == "There is nothing to undo."
    press(page, "a", "r", "1", "k", "k", "u")  # back on item 1: its decision, not the later one
    assert page.inner_text("#status") == "Item 1 is open again."
    assert progress(page) == "1 of 4 decided, 1 rejected"


def test_moving_by_keys_and_by_the_list(opened: Callable[..., Page]) -> None:
    page = opened()
    shown = []
    for key in ("j", "ArrowRight", "j", "j", "k", "ArrowLeft"):
        press(page, key)
        shown.append(page.inner_text("#heading"))
    assert shown == [f"Item {n} of 4" for n in (2, 3, 4, 4, 3, 2)]
    page.click("#list li:nth-child(4) button")
    assert page.inner_text("#prompt") == ITEMS[3]["prompt"]
    assert page.locator("#list [aria-current=true]").count() == 1
    press(page, "a")
    assert page.inner_text("#heading") == "Item 1 of 4"  # on to the first that is open


def test_every_key_has_a_button(opened: Callable[..., Page], tmp_path: Path) -> None:
    page = opened(accept_downloads=True)
    button = functools.partial(page.get_by_role, "button", exact=True)
    button(name="Accept").click()
    button(name="Reject").click()
    button(name=review.REASONS[0]).click()
    button(name="Edit").click()
    page.fill("#area", "Put it back unopened.")
    button(name="Save").click()
    button(name="Back").click()
    button(name="Next").click()
    button(name="Accept").click()
    assert page.inner_text("#status") == "Item 4: accepted. All 4 are decided: export with x."
    button(name="Undo").click()
    assert progress(page) == "3 of 4 decided, 1 rejected"
    button(name="Help").click()
    assert page.get_by_role("dialog", name="Keys").is_visible()
    button(name="Close").click()
    page.get_by_label("Your name or initials").fill("CD")
    with page.expect_download() as download:
        button(name="Export").click()
    download.value.save_as(tmp_path / "r.json")
    assert [d.decision for d in review.read_review(tmp_path / "r.json", items=ITEMS).decisions.values()] == [
        "accept",
        "reject",
        "edit",
    ]


def test_escape_cancels_and_a_pending_rejection_takes_only_a_digit(opened: Callable[..., Page]) -> None:
    page = opened()
    press(page, "r", "a", "9", "j")
    assert page.inner_text("#heading") == "Item 1 of 4"
    press(page, "Escape", "2")
    assert page.locator("#reasons").is_hidden()
    press(page, "e")
    page.keyboard.type("something else")
    press(page, "Escape")
    assert page.inner_text("#text") == ITEMS[0]["text"]
    assert progress(page) == "0 of 4 decided, 0 rejected"


def test_an_empty_edit_is_refused_and_an_unchanged_one_accepts(opened: Callable[..., Page]) -> None:
    page = opened()
    press(page, "j", "j", "e")  # the draft with \r\n, which a field turns into \n
    page.fill("#area", " \n ")
    press(page, "Control+Enter")
    assert "cannot be empty" in page.inner_text("#status")
    assert progress(page) == "0 of 4 decided, 0 rejected"
    press(page, "Escape", "e", "Control+Enter")
    assert page.inner_text("#list li:nth-child(3) .aside") == "accepted"
    assert page.evaluate("decisions.get('d3').text") == ITEMS[2]["text"]


def test_an_open_edit_is_not_lost_by_moving_on(opened: Callable[..., Page]) -> None:
    page = opened()
    press(page, "e")
    page.keyboard.type("Half done. ")
    page.click("#list li:nth-child(2) button")
    assert page.inner_text("#status") == "Save or cancel the edit first."
    assert page.inner_text("#heading") == "Item 1 of 4"
    press(page, "Control+Enter")
    assert page.evaluate("decisions.get('d1').decision") == "edit"


def test_keys_do_not_act_in_fields_or_when_held_down_or_when_turned_off(opened: Callable[..., Page]) -> None:
    page = opened()
    page.focus("#name")
    page.keyboard.type("a1r1 exjk?u")
    assert page.input_value("#name") == "a1r1 exjk?u"
    press(page, "Enter", "e")
    page.keyboard.type("ar1jkxu?")
    assert "ar1jkxu?" in page.input_value("#area")
    press(page, "Escape")
    assert (progress(page), page.inner_text("#heading")) == ("0 of 4 decided, 0 rejected", "Item 1 of 4")
    assert not page.get_by_role("dialog").is_visible()
    press(page, "Control+a")
    assert progress(page) == "0 of 4 decided, 0 rejected"
    page.keyboard.down("a")
    page.keyboard.down("a")  # the repeat of a held key
    page.keyboard.up("a")
    assert progress(page) == "1 of 4 decided, 0 rejected"
    press(page, "?", "a")  # and none acts behind the help
    page.get_by_label("Single keys act").uncheck()
    press(page, "Escape", "a")
    leave_and_return(page)
    press(page, "a")
    assert progress(page) == "1 of 4 decided, 0 rejected"


def test_no_export_without_a_name_or_a_decision(opened: Callable[..., Page]) -> None:
    page = opened(accept_downloads=True)
    downloads: list[Any] = []
    page.on("download", lambda download: downloads.append(download))
    press(page, "a", "x")
    assert page.inner_text("#nameless") == "Write your name or initials first: the export needs them."
    assert page.evaluate("document.activeElement.id") == "name"
    page.keyboard.type("AB")
    assert page.inner_text("#nameless") == ""
    press(page, "Enter", "u", "x")
    assert "Nothing is decided yet" in page.inner_text("#status")
    page.wait_for_timeout(300)
    assert downloads == []


def test_a_reload_keeps_decisions_and_leaving_warns_until_they_are_exported(
    opened: Callable[..., Page], tmp_path: Path
) -> None:
    page = opened(accept_downloads=True)
    assert leave_and_return(page) == []
    name_reviewer(page)
    press(page, "a", "r", "1")
    assert leave_and_return(page) == ["beforeunload"]
    assert progress(page) == "2 of 4 decided, 1 rejected"
    assert page.inner_text("#heading") == "Item 3 of 4"
    assert page.input_value("#name") == "A. B."
    press(page, "j", "k")  # a browser asks only where something was done, so do something
    assert leave_and_return(page) == ["beforeunload"]
    press(page, "u", "k", "u")  # a decision of an earlier visit can be undone too
    assert progress(page) == "1 of 4 decided, 0 rejected"
    export(page, tmp_path)
    assert leave_and_return(page) == []
    press(page, "e")
    page.keyboard.type("unsaved")
    assert leave_and_return(page) == ["beforeunload"]
    # Other items are another review: nothing of this one is carried over.
    (tmp_path / "review.html").write_text(review.page(ITEMS[:3], title="Others"), "utf-8")
    page.reload()
    assert progress(page) == "0 of 3 decided, 0 rejected"


def test_another_reviewer_starts_over(opened: Callable[..., Page]) -> None:
    page = opened()
    name_reviewer(page)
    press(page, "a")
    leave_and_return(page)
    assert page.inner_text("#status") == "Kept from before: 1 of 4 decided (A. B.). Someone else? Start over."
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Start over").click()
    page.get_by_text("Started over.").wait_for()
    assert leave_and_return(page) == []
    assert progress(page) == "0 of 4 decided, 0 rejected"
    assert page.input_value("#name") == ""


def test_two_tabs_do_not_write_over_each_other(opened: Callable[..., Page]) -> None:
    first = opened()
    second = another_tab(first)
    press(first, "a")
    second.get_by_text("1 of 4 decided").wait_for()
    press(second, "j", "a")
    first.get_by_text("2 of 4 decided").wait_for()


def test_a_page_that_sees_none_of_what_is_kept_takes_nothing_from_it(opened: Callable[..., Page]) -> None:
    page = opened()
    blind = another_tab(page, script="Storage.prototype.getItem = () => null")
    press(page, "a", "a")
    assert progress(blind) == "0 of 4 decided, 0 rejected"
    press(blind, "r", "1")
    page.get_by_text("2 of 4 decided, 1 rejected").wait_for()


def test_blocked_storage_is_told_and_all_else_works(opened: Callable[..., Page], tmp_path: Path) -> None:
    blocked = (
        "Object.defineProperty(window, 'localStorage', "
        "{ get() { throw new DOMException('denied', 'SecurityError'); } });"
    )
    page = opened(script=blocked, accept_downloads=True)
    assert page.locator("#unkept").is_visible()
    assert (
        page.inner_text("#unkept")
        == "This browser keeps nothing of what you do here: export before you close the page."
    )
    name_reviewer(page)
    press(page, "a")
    assert list(review.read_review(export(page, tmp_path), items=ITEMS).decisions) == ["d1"]
    assert opened().locator("#unkept").is_hidden()


def test_spoilt_storage_is_left_aside(opened: Callable[..., Page]) -> None:
    page = opened()
    for spoilt in (
        "null",
        "{",
        "7",
        '"a"',
        '{"decision": "burn", "text": "", "reason": ""}',
        '{"decision": "reject", "text": "t", "reason": "mood"}',
    ):
        page.evaluate(
            "(text) => [KEPT, keyOf('d1')].forEach((key) => localStorage.setItem(key, text))", spoilt
        )
        leave_and_return(page)
        assert (progress(page), page.input_value("#name")) == ("0 of 4 decided, 0 rejected", "")


def test_hostile_text_is_shown_as_text_and_read_back(opened: Callable[..., Page], tmp_path: Path) -> None:
    page = opened(HOSTILE, accept_downloads=True)
    assert page.title() == "Drafts <1>"
    assert page.inner_text("#note") == "Judge & decide"
    assert page.text_content("#prompt") == HOSTILE[0]["prompt"]
    assert page.text_content("#text") == HOSTILE[0]["text"]
    assert page.text_content("#list li:first-child .start") == HOSTILE[0]["prompt"][:90]
    press(page, "e")
    assert page.input_value("#area") == HOSTILE[0]["text"]
    press(page, "Control+End")
    page.keyboard.type("!")
    press(page, "Control+Enter", "r", "6")
    page.wait_for_timeout(200)
    assert page.evaluate("[window.ran, document.querySelectorAll('img, svg, b, main script').length]") == [
        None,
        0,
    ]
    name_reviewer(page, "</title><b>")
    made = review.read_review(export(page, tmp_path), items=HOSTILE)
    assert made.decisions[HOSTILE[0]["id"]].text == HOSTILE[0]["text"] + "!"
    assert made.decisions["__proto__"].reason == review.REASONS[5]


def test_the_page_can_reach_no_network_and_runs_no_other_script(browser: Browser, tmp_path: Path) -> None:
    html = review.page(ITEMS, title="Drafts")
    # The same attempts do get through without the policy, so that silence with it means something; and with
    # its last wall taken down, the one against written markup, the wall behind it still stands.
    policies = {
        re.sub(r"<meta http-equiv[^>]*>", "", html): {"network", "markup", "script"},
        re.sub(r"; require-trusted[^\"]*", "", html): {"markup"},
        html: set(),
    }
    assert len(policies) == 3
    for text, through in policies.items():
        assert got_through(browser, tmp_path / "review.html", text) == through
