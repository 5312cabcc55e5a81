"""A drawing in a page: its text is text and is escaped, its colours are the page's, its names are its own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from bs4 import BeautifulSoup
from made_responses import made_responses

from safetune_utils import statistics
from safetune_utils.book import figures
from safetune_utils.book.findings import published_folder
from safetune_utils.data import corpus_shape, set_entry
from safetune_utils.data.outputs import of_adapters

if TYPE_CHECKING:
    from playwright.sync_api import Browser

EVIL = "<img src=x onerror=alert(1)></text><script>alert(1)</script> & $x$"

# The smallest text of a page's drawings, in pixels, and by how much anything is wider than the window.
LABELS = """() => [
    Math.min(...[...document.querySelectorAll("svg text")].map((text) => {
        const svg = text.ownerSVGElement;
        return parseFloat(getComputedStyle(text).fontSize) * svg.getBoundingClientRect().width
            / svg.viewBox.baseVal.width;
    })),
    document.documentElement.scrollWidth - innerWidth,
]"""

# Pairs of texts of one drawing that lie over each other, and texts that are cut at its edge.
FAULTS = """() => [...document.querySelectorAll("svg")].flatMap((svg) => {
    const texts = [...svg.querySelectorAll("text")].map((text) => [
        text.textContent, text.getBoundingClientRect(),
    ]);
    const panel = svg.getBoundingClientRect();
    const over = (a, b) => a.right - b.left > 1 && b.right - a.left > 1
        && a.bottom - b.top > 3 && b.bottom - a.top > 3;
    return [
        ...texts.flatMap(([text, box], n) => texts.slice(n + 1)
            .filter(([, other]) => over(box, other)).map(([other]) => `${text} over ${other}`)),
        ...texts.filter(([, box]) => box.left < panel.left - 1 || box.right > panel.right + 1
            || box.top < panel.top - 1 || box.bottom > panel.bottom + 1).map(([text]) => `${text} cut`),
    ];
})"""


def curve(prompt_set: str) -> pd.DataFrame:
    table = statistics.summarise(made_responses(), by=["prompt_set", "n_safety"])
    return table.assign(prompt_set=prompt_set)


def drawn(prompt_set: str = "malicious", *, name: str = "x") -> figures.Figure:
    return figures.dose_response(curve(prompt_set), name=name, caption="c")


def test_labels_are_text_and_what_they_say_is_escaped() -> None:
    figure = drawn(EVIL)
    page = BeautifulSoup(figure._repr_html_(), "html.parser")
    assert not page.find_all(["script", "img"])
    said = " ".join(text.get_text() for text in page.find_all("text"))
    assert "answers that refuse (%)" in said
    assert "alert(1)" in said
    assert "$x$" in said
    assert not page.select("[onerror]")


def test_a_drawing_has_no_colour_of_its_own_and_nothing_that_holds_for_the_page() -> None:
    (drawing,) = drawn().drawings
    assert not re.search(r"#[0-9a-fA-F]{6}", drawing)
    assert "var(--fig-malicious)" in drawing
    assert not re.search(r"<style|<metadata|<\?xml|<!DOCTYPE|font-family|xlink", drawing)


def test_no_two_drawings_of_a_page_have_a_name_in_common() -> None:
    panels = pd.DataFrame({"measure": ["a", "b"], "n_safety": 0, "value": 1.0, "low": 0.5, "high": 2.0})
    all_of_them = [drawn(name="x"), drawn(name="y"), figures.panels(panels, name="z", caption="c")]
    drawings = [drawing for figure in all_of_them for drawing in figure.drawings]
    assert len(drawings) == 4
    named = [set(re.findall(r' id="([^"]+)"', drawing)) for drawing in drawings]
    assert all(named)
    assert len(set.union(*named)) == sum(map(len, named))
    for drawing, names in zip(drawings, named, strict=True):
        used = re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', drawing)
        assert {one or other for one, other in used} == names


def test_a_figure_is_small() -> None:
    assert len(drawn()._repr_html_()) < 20_000


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_figure_on_a_phone_has_labels_that_can_be_read_and_the_theme_s_colours(
    browser: Browser, tmp_path: Path, theme: str
) -> None:
    panels = pd.DataFrame({"measure": ["a", "b"], "n_safety": 0, "value": 1.0, "low": 0.5, "high": 2.0})
    both = f"{drawn()._repr_html_()}{figures.panels(panels, name='z', caption='c')._repr_html_()}"
    path = tmp_path / "page.html"
    path.write_text(f'<!doctype html><html data-theme="{theme}"><body style="margin:16px">{both}', "utf-8")
    context = browser.new_context(viewport={"width": 360, "height": 740})
    page = context.new_page()
    page.goto(path.as_uri())
    smallest, over = page.evaluate(LABELS)
    assert smallest >= 11
    assert over <= 0
    boxes = [drawing.bounding_box() for drawing in page.locator("#figure-z svg").all()]
    assert boxes[1]["y"] >= boxes[0]["y"] + boxes[0]["height"]  # below each other
    title = f"text >> text='{set_entry('malicious').title.split()[0]}'"
    of_a_line = page.locator(title).first.evaluate("text => getComputedStyle(text).fill")
    assert of_a_line == {"light": "rgb(179, 64, 10)", "dark": "rgb(255, 157, 92)"}[theme]
    page.emulate_media(media="print")
    on_paper = page.locator(title).first.evaluate("text => getComputedStyle(text).fill")
    assert on_paper == "rgb(179, 64, 10)"
    page.set_viewport_size({"width": 1280, "height": 800})
    boxes = [drawing.bounding_box() for drawing in page.locator("#figure-z svg").all()]
    assert boxes[1]["y"] == boxes[0]["y"]  # beside each other
    context.close()


def published(name: str) -> pd.DataFrame:
    return of_adapters(pd.read_csv(published_folder() / "pocket" / f"{name}.csv"))


def sides(table: pd.DataFrame) -> pd.DataFrame:
    """The shares of a figure of wanted refusals against unwanted ones, as it was drawn from them."""
    rows = [
        table.filter(regex=f"^{side}_|^n_safety$|^variant$").rename(
            columns=lambda name, side=side: name.removeprefix(f"{side}_")
        )
        for side in ("wanted", "unwanted")
    ]
    return pd.concat(rows)


def of_the_book() -> list[figures.Figure]:
    """Figures of the book from published numbers, and of a set."""
    shares = published("01_safety_amount-safety_amount")
    words = shares.assign(share=shares["share"] * 0.97)  # near the curves, where names have least room
    untuned = shares[shares["n_safety"] == 0].drop(columns="n_safety")
    given = {"name": "x", "caption": "c"}
    pair = {"wanted": "malicious", "unwanted": "lookalikes_safe"}
    left_out = {"none": "0 safety examples", "without": "100, none on the topics left out", "all": "100, all"}
    return [
        figures.dose_response(shares, n_other=300, untuned=untuned, words=words, **given),
        figures.by_kind(published("02_exaggerated_safety-lookalikes_by_kind"), **given),
        figures.by_kind(published("05_topics-topics_malicious"), **given),
        figures.by_kind(published("05_topics-topics_left_out"), series="model", names=left_out, **given),
        figures.dumbbells(published("04_opinion_vs_instruction-opinion_instruction"), **given),
        figures.win_rates(published("07_preference_study-paper_win_rates"), **given),
        figures.scatter(
            published("08_instruments-two_instruments"),
            x="refusal-rules",
            y="harmfulness",
            series="safety examples",
            **given,
        ),
        figures.trade_off(sides(published("02_exaggerated_safety-trade_off")), **pair, **given),
        figures.frontier(sides(published("10_choosing_safety_data-choosing_frontier")), **pair, **given),
        figures.loss_curves(published("01_safety_amount-losses"), **given),
        figures.set_shape(corpus_shape("safety"), name="x", title="A set"),
    ]


def test_on_a_phone_no_name_in_a_figure_of_the_book_lies_over_another_or_is_cut_or_small(
    browser: Browser, tmp_path: Path
) -> None:
    path = tmp_path / "page.html"
    markup = "".join(figure._repr_html_() for figure in of_the_book())
    path.write_text(f'<!doctype html><meta charset="utf-8"><body style="margin:16px">{markup}', "utf-8")
    page = browser.new_page(viewport={"width": 360, "height": 740})
    page.goto(path.as_uri())
    assert page.evaluate(FAULTS) == []
    smallest, over = page.evaluate(LABELS)
    assert smallest >= 11
    assert over <= 0
    page.close()
