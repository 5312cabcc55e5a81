"""The dose dial: amounts to choose from and what was answered at each, without a script."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from html_tables import parsed

from safetune_utils.book import dial

if TYPE_CHECKING:
    from playwright.sync_api import Browser

EVIL = "<script>window.evil = 1</script><b>no</b>"
PROMPTS = {"ordinary": 2, "lookalikes_safe": 1}


def responses(data: str = "embedded") -> pd.DataFrame:
    """Answers to two prompts a set at two amounts, by two seeds."""
    return pd.DataFrame(
        {
            "data": data,
            "seed": seed,
            "n_safety": n,
            "prompt_set": prompt_set,
            "prompt_id": f"{prompt_set}-{k}",
            "prompt": f"prompt {k} of {prompt_set}",
            "response": f"{prompt_set} {k} at {n}, seed {seed} {EVIL}",
            "label": ["compliance", "full_refusal"][n > 0],
            "stopped": k == 0,
        }
        for seed in (0, 1)
        for n in (0, 50)
        for prompt_set in ("ordinary", "lookalikes_safe")
        for k in (0, 1)
    )


def shown(data: str = "embedded") -> str:
    return str(dial.dial(responses(data), prompts=PROMPTS, name="x").data)


def test_each_amount_has_the_recorded_answers_of_the_first_prompts_and_seed() -> None:
    page = parsed(shown())
    assert [label.get_text() for label in page.select("label")] == ["0", "50"]
    assert [term.get_text() for term in page.select("dt")] == [
        "prompt 0 of ordinary (ordinary instructions)",
        "prompt 1 of ordinary (ordinary instructions)",
        "prompt 0 of lookalikes_safe (safe look-alikes)",
    ]
    answers = [[one.get_text() for one in place.select("span")] for place in page.select("dd")]
    assert answers[1] == [
        f"It answers: ordinary 1 at 0, seed 0 {EVIL} …",
        f"It declines: ordinary 1 at 50, seed 0 {EVIL} …",
    ]
    assert not page.select("script, b")
    assert [one["id"] for one in page.select("input")] == ["dial-x-0", "dial-x-50"]


def test_prompts_of_others_are_not_shown() -> None:
    text = shown("paper")
    assert "prompt" not in parsed(text).get_text().replace("Prompts", "")
    assert "not shown" in text


def test_a_notebook_s_output_names_the_dial() -> None:
    found = dial.dial(responses(), prompts=PROMPTS, name="x")
    assert isinstance(found, dial.Dial)
    markup, about = found._repr_mimebundle_()
    assert about == {"safetune": {"dial": "x"}}
    assert 'id="dial-x"' in markup["text/html"]


@pytest.mark.parametrize("script", [True, False])
def test_the_dial_turns_by_mouse_and_by_keyboard_with_scripts_or_without(
    browser: Browser, tmp_path: Path, script: bool
) -> None:
    path = tmp_path / "page.html"
    path.write_text(f"<!doctype html><html lang=en><title>t</title>{shown()}", "utf-8")
    context = browser.new_context(java_script_enabled=script, viewport={"width": 360, "height": 740})
    page = context.new_page()
    page.goto(path.as_uri())

    def seen() -> list[str]:
        return [one.inner_text() for one in page.locator("dd > span").all() if one.is_visible()]

    assert [text.split(":")[0] for text in seen()] == ["It answers"] * 3
    page.get_by_label("50").check()
    assert [text.split(":")[0] for text in seen()] == ["It declines"] * 3
    page.keyboard.press("ArrowLeft")
    assert [text.split(":")[0] for text in seen()] == ["It answers"] * 3
    # What has the focus is to be seen, and is large enough for a finger.
    assert page.locator("label").first.evaluate("e => getComputedStyle(e).outlineStyle") == "solid"
    box = page.locator("label").first.bounding_box()
    assert box is not None
    assert min(box["width"], box["height"]) >= 44
    assert page.get_by_role("radio").count() == 2
    assert page.get_by_role("group", name="How many safety examples?").count() == 1
    context.close()
