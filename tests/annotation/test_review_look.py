"""How the review page looks and reads: contrast, focus, narrow windows, screen readers."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from browsing import CONTRAST, press
from draft_items import ITEMS

from safetune_utils.annotation import review

if TYPE_CHECKING:
    from playwright.sync_api import Page


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_in_light_and_dark(opened: Callable[..., Page], scheme: str) -> None:
    page = opened(color_scheme=scheme)
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", ground))) > 600) is (scheme == "light")
    states = {
        "accepted": ["a", "k"],
        "rejected": ["j", "r", "2", "k"],
        "edited": ["j", "e", "x", "Control+Enter", "k"],
        "choosing": ["r"],
        "nameless": ["Escape", "x"],
        "editing": ["Enter", "e"],
        "help": ["Escape", "?"],
    }
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
            "(e => [e.id || e.innerText, getComputedStyle(e).outlineStyle, getComputedStyle(e).outlineWidth])"
            "(document.activeElement)"
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
    assert page.get_by_role("status").inner_text() == "Item 1: accepted. Now item 2."
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
