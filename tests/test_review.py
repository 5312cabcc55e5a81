"""The review page driven in a real browser, and what is made of the reviews it hands out."""

from __future__ import annotations

import functools
import json
import math
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from browsing import CONTRAST, another_tab, export, got_through, leave_and_return, opening, press

from safetune_utils.annotation import review
from safetune_utils.annotation.review import Decision, Review
from safetune_utils.errors import SafetuneError

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ITEMS = [
    {"id": "d1", "prompt": "How do I clean an oven?", "text": "Use baking soda and open a window."},
    {
        "id": "d2",
        "prompt": "May I mix bleach and vinegar?",
        "text": "No. Together they give off a gas that harms the lungs.",
    },
    {
        "id": "d3",
        "prompt": "Can I read my flatmate's letters?",
        "text": "First line.\r\nThey are not yours to open.",
    },
    {
        "id": "d4",
        "prompt": "Where do I put old batteries?",
        "text": "Take them to a shop that collects them.",
    },
]
HOSTILE = [
    {
        "id": "</script><b id=bold>",
        "prompt": "</script><img src=x onerror=\"window.ran='prompt'\"> \"double\" 'single' {{data}} {{policy}} ${7*7} &lt;b&gt; <!--<script>",
        "text": "first\u2028second\u2029third <svg onload=\"window.ran='text'\"></textarea><script>window.ran='script'</script> \\u003c \\",
    },
    {"id": "__proto__", "prompt": "constructor", "text": "toString"},
]


# ---- the page in a browser


@pytest.fixture
def opened(browser: Browser, tmp_path: Path) -> Iterator[Callable[..., Page]]:
    """Opens the page of some items."""
    with opening(browser, tmp_path / "review.html") as open_html:
        yield lambda items=ITEMS, **options: open_html(
            review.page(items, title="Drafts <1>", note="Judge & decide"), **options
        )


def progress(page: Page) -> str:
    return page.inner_text("#progress")


def name_reviewer(page: Page, name: str = "A. B.") -> None:
    page.focus("#reviewer")
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
    assert page.inner_text("#status") == f"Exported to {path.name}: 3 decided, 1 left open."
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
    assert page.inner_text("#status") == "Item 4 accepted. All 4 are decided: export with x."
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
    page.focus("#reviewer")
    page.keyboard.type("a1r1 exjk?u")
    assert page.input_value("#reviewer") == "a1r1 exjk?u"
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
    assert page.evaluate("document.activeElement.id") == "reviewer"
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
    assert page.input_value("#reviewer") == "A. B."
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
    assert page.input_value("#reviewer") == ""


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
    blocked = "Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('denied', 'SecurityError'); } });"
    page = opened(script=blocked, accept_downloads=True)
    assert page.locator("#unkept").is_visible()
    assert (
        page.inner_text("#unkept")
        == "This browser keeps no decisions for this page: export before you close it."
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
        assert (progress(page), page.input_value("#reviewer")) == ("0 of 4 decided, 0 rejected", "")


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


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_in_light_and_dark(opened: Callable[..., Page], scheme: str) -> None:
    page = opened(color_scheme=scheme)
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", ground))) > 600) is (scheme == "light")
    states = {
        "accepted": ["a", "k"], "rejected": ["j", "r", "2", "k"], "edited": ["j", "e", "x", "Control+Enter", "k"],
        "choosing": ["r"], "nameless": ["Escape", "x"], "editing": ["Enter", "e"], "help": ["Escape", "?"],
    }  # fmt: skip
    for state, keys in states.items():
        press(page, *keys)
        faint = [row for row in page.evaluate(CONTRAST) if row[0] < 4.5]
        assert not faint, state


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_focus_is_seen_on_every_stop(opened: Callable[..., Page], scheme: str) -> None:
    page = opened(color_scheme=scheme)
    stops = []
    for _ in range(40):
        press(page, "Tab")
        stop = page.evaluate(
            "(e => [e.id || e.innerText, getComputedStyle(e).outlineStyle, getComputedStyle(e).outlineWidth])(document.activeElement)"
        )
        if stop[0] in [name for name, *_ in stops] or page.evaluate(
            "document.activeElement === document.body"
        ):
            break
        stops.append(stop)
    assert len(stops) == 4 + 6 + len(ITEMS)  # the head, the actions, the list
    assert all(rest == ["solid", "3px"] for _, *rest in stops)


@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_runs_out_of_a_narrow_window(opened: Callable[..., Page], width: int) -> None:
    long = [{"id": "x" * 300, "prompt": "word" * 200, "text": "w" * 2000}, *ITEMS]
    page = opened(long, viewport={"width": width, "height": 740})
    for keys in ((), ("r",), ("Escape", "e"), ("Escape", "a", "?")):
        press(page, *keys)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    press(page, "Escape", "k")
    for button in page.locator("#actions button").all():
        box = button.bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
        assert box["y"] + box["height"] <= 740  # the dock is always in sight


def test_labels_and_live_status_for_a_screen_reader(opened: Callable[..., Page]) -> None:
    page = opened()
    press(page, "a")
    assert page.get_by_role("status").inner_text() == "Item 1 accepted. Now item 2."
    assert page.get_by_role("progressbar", name="1 of 4 decided").count() == 1
    assert (
        page.get_by_role("navigation", name="All items")
        .get_by_role("button", name="How do I clean an oven? accepted")
        .count()
        == 1
    )
    press(page, "r")
    assert (
        page.get_by_role("group", name="Why reject it?").get_by_role("button").count()
        == len(review.REASONS) + 1
    )
    press(page, "Escape", "e")
    assert page.get_by_role("textbox", name="Edit the text").evaluate("e => e === document.activeElement")


# ---- the items


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


# ---- a review that is read


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
    review.read_review(
        path, items=[item | {"category": "home"} for item in ITEMS]
    )  # what no reviewer sees may change


# ---- what follows from reviews


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
    assert review.apply(items, [third, second])[0] == [
        items[0] | {"text": "Third's text."}
    ]  # the first edit in the order given
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
    first = {f"r{n}": a for n, (a, _) in enumerate(choices)} | {
        f"r{len(choices)}": "accept"
    }  # a row that only one decided
    second = {f"r{n}": b for n, (_, b) in enumerate(choices)} | {f"r{len(choices) + 1}": "reject"}
    return reviewed("A", first, items), reviewed("B", second, items)


def test_kappa_of_a_case_worked_by_hand() -> None:
    # Of 50 rows both keep 20, only the first 5, only the second 10, neither 15. Agreed: 35/50 = 0.7; by
    # chance 0.5·0.6 + 0.5·0.4 = 0.5; κ = 0.2/0.5 = 0.4. Fleiss's variance is (A + B - C) / 0.5² / 50 with A =
    # 0.4·(1 - 1.1·0.6)² + 0.3·(1 - 0.9·0.6)² = 0.10972, B = 0.6²·(0.1·1.1² + 0.2·0.9²) = 0.10188, C = (0.4 -
    # 0.5·0.6)² = 0.01.
    result = review.compare_reviews(*pair({("accept", "accept"): 12, ("mended", "accept"): 5, ("accept", "mended"): 3, ("accept", "reject"): 4,
                                     ("mended", "reject"): 1, ("reject", "accept"): 10, ("reject", "reject"): 15}))  # fmt: skip
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
