"""Every figure describes itself: alt text, both themes, its numbers as CSV."""

from __future__ import annotations

import base64
import xml.etree.ElementTree as ET

import pandas as pd
import pytest
from drawn import intervals, marks, words
from html_tables import parsed
from made_responses import made_responses
from matplotlib.figure import Figure as Canvas

from safetune_utils import statistics
from safetune_utils.book import figures

SVG = "data:image/svg+xml;base64,"


@pytest.fixture
def curve() -> pd.DataFrame:
    return statistics.summarise(made_responses(), by=["prompt_set", "n_safety"])


def test_a_figure_has_alt_text_and_csv_from_its_numbers_in_both_themes(curve: pd.DataFrame) -> None:
    figure = figures.dose_response(curve, name="test", caption="A caption.")
    assert "malicious requests: 0 % at 0, 100 % at 50" in figure.alt
    assert len(figure.csv.splitlines()) == 1 + len(curve)
    images = parsed(figure._repr_html_()).find_all("img")
    assert [image["class"] for image in images] == [["only-light"], ["only-dark"]]
    assert [image["alt"] for image in images] == [figure.alt] * 2
    drawings = [base64.b64decode(image["src"].removeprefix(SVG)).decode() for image in images]
    assert drawings[0] != drawings[1]
    for drawing in drawings:
        assert ET.fromstring(drawing).tag.endswith("svg")


def test_a_figure_is_drawn_the_same_twice(curve: pd.DataFrame) -> None:
    first, second = (figures.dose_response(curve, name="test", caption="A caption.") for _ in range(2))
    assert first == second


def test_panels_have_a_scale_of_their_own_and_their_measure_as_title(canvases: list[Canvas]) -> None:
    table = pd.DataFrame(
        {
            "measure": ["loss (nats)", "loss (nats)", "right (%)"],
            "n_safety": [9, 0, 0],
            "value": [2.5, 2, 55],
            "low": [2.1, 1.5, 47],
            "high": [3, 2.2, 64],
        }
    )
    drawn = figures.panels(table, name="p", caption="c")
    assert "; right (%): 55 (47 to 64) at 0." in drawn.alt
    loss, right = canvases[0].axes
    assert [axes.get_title() for axes in (loss, right)] == ["loss (nats)", "right (%)"]
    assert list(marks(loss).values()) == [[(0, 2.0), (9, 2.5)]]  # by growing amount
    assert list(marks(right).values()) == [[(0, 55.0)]]
    (bounds,) = intervals(loss).values()
    assert bounds == [pytest.approx((1.5, 2.2)), pytest.approx((2.1, 3.0))]
    assert words(loss.get_xticklabels()) == ["0", "9"]
    one = figures.panels(table[:2], name="p", caption="c")
    assert "loss (nats): 2 (1.5 to 2.2) at 0, 2.5 (2.1 to 3) at 9" in one.alt
