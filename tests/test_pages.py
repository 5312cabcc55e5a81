"""What pages show: untrusted text is inert, figures describe themselves, outside text is withheld."""

from __future__ import annotations

import base64
import json
import re
import xml.etree.ElementTree as ET

import pandas as pd
import pytest

from safetune_utils import statistics
from safetune_utils.book import figures, folds, glue, tables, words
from safetune_utils.data import Shape

NASTY = "<script>alert(1)</script><img src=x onerror=alert(2)>"


def responses(**changes: object) -> pd.DataFrame:
    rows = [
        {"data": "embedded", "prompt_set": "malicious", "prompt_id": f"p{i}", "prompt": NASTY, "response": NASTY, "stopped": True,
         "n_safety": n, "seed": 0, "label": "full_refusal" if n else "compliance", "refused": n > 0}
        for n in (0, 50) for i in range(20)
    ]  # fmt: skip
    return pd.DataFrame(rows).assign(**changes)


def test_model_output_is_escaped_and_folded() -> None:
    page = folds.examples(responses(), prompt_set="malicious").data
    assert "<script" not in page
    assert "<img" not in page
    assert "&lt;script&gt;" in page
    assert page.startswith("<details")
    assert " open" not in page.split(">")[0]


def test_outside_prompts_and_answers_are_withheld() -> None:
    missing = responses()
    missing.loc[missing.index[0], "label"] = None
    assert "(unscored)" in folds.examples(missing, prompt_set="malicious").data
    assert "has no ordinary instructions" in folds.examples(responses(), prompt_set="ordinary").data
    page = folds.examples(
        responses(data="paper-sample", prompt="a prompt of theirs"), prompt_set="malicious"
    ).data
    assert "theirs" not in page
    assert "script" not in page


@pytest.fixture
def curve() -> pd.DataFrame:
    return statistics.summarise(responses(), by=["prompt_set", "n_safety"])


def test_a_figure_has_alt_text_and_csv_from_its_numbers_in_both_themes(curve: pd.DataFrame) -> None:
    figure = figures.dose_response(curve, name="test", caption="A caption.")
    assert "malicious requests: 0 % at 0, 100 % at 50" in figure.alt
    assert len(figure.csv.splitlines()) == 1 + len(curve)
    page = figure._repr_html_()
    images = re.findall(
        r'<img class="only-(light|dark)" alt="([^"]+)" src="data:image/svg\+xml;base64,([^"]+)"', page
    )
    assert [theme for theme, *_ in images] == ["light", "dark"]
    assert images[0][1] == images[1][1] == figure.alt
    drawings = [base64.b64decode(image[2]).decode() for image in images]
    assert drawings[0] != drawings[1]
    for drawing in drawings:
        assert ET.fromstring(drawing).tag.endswith("svg")


def test_a_figure_is_drawn_the_same_twice(curve: pd.DataFrame) -> None:
    first, second = (figures.dose_response(curve, name="test", caption="A caption.") for _ in range(2))
    assert first == second


def test_the_other_figures_say_their_numbers() -> None:
    kinds = pd.DataFrame(
        {
            "kind": ["a_b", "c"] * 2,
            "n_safety": [0, 0, 9, 9],
            "share": [0, 0.1, 0.5, 0.9],
            "low": [0, 0, 0.4, 0.8],
            "high": [0.1, 0.2, 0.6, 1],
        }
    )
    assert "a b 0 % at 0, 50 % at 9" in figures.by_kind(kinds, name="k", caption="c").alt
    named = figures.by_kind(kinds, name="k", caption="c", names={9: "all topics", 0: "no topic"})
    assert "a b 50 % with all topics, 0 % with no topic" in named.alt
    measured = pd.DataFrame(
        {
            "measure": ["loss (nats)", "loss (nats)", "right (%)"],
            "n_safety": [9, 0, 0],
            "value": [2.5, 2, 55],
            "low": [2, 1.5, 47],
            "high": [3, 2.5, 64],
        }
    )
    for rows, alt in (
        (measured, "; right (%): 55 (47 to 64) at 0."),
        (measured[:2], "loss (nats): 2 (1.5 to 2.5) at 0, 2.5 (2 to 3) at 9"),
    ):
        assert alt in figures.panels(rows, name="p", caption="c").alt
    losses = pd.DataFrame(
        {"n_safety": 5, "seed": 0, "step": [1, 2], "train_loss": [3.0, 2.0], "validation_loss": [2.5, 2.25]}
    )
    assert (
        "5 safety examples, seed 0: from 2.50 to 2.25, lowest 2.25"
        in figures.loss_curves(losses, name="l", caption="c").alt
    )
    shares = {"n_safety": 5, "low": 0.0, "high": 1.0}
    both = pd.DataFrame(
        [
            {"prompt_set": "malicious", "share": 0.8, **shares},
            {"prompt_set": "lookalikes_safe", "share": 0.1, **shares},
        ]
    )
    drawn = figures.trade_off(both, wanted="malicious", unwanted="lookalikes_safe", name="t", caption="c")
    assert "with 5 safety examples 80 % wanted and 10 % unwanted" in drawn.alt
    ways = pd.concat([both.assign(variant="b"), both.assign(variant="a", share=[0.3, 0.2])])
    drawn = figures.frontier(ways, wanted="malicious", unwanted="lookalikes_safe", name="f", caption="c")
    assert "b, 80 % wanted and 10 % unwanted refusals; a, 30 % wanted and 20 % unwanted refusals" in drawn.alt


def test_a_change_in_words_follows_its_interval() -> None:
    assert (
        words.change(statistics.Difference(0.45, 0.36, 0.54, 0.0, 98))
        == "rises by 45 points (+36 to +54 points on 98 prompts)"
    )
    assert words.change(statistics.Difference(-0.1, -0.2, -0.05, 0.0, 9)).startswith("falls by 10 points")
    assert words.change(statistics.Difference(0.02, -0.01, 0.05, 0.5, 98)).startswith(
        "shows no change outside the noise"
    )
    assert (
        words.change(statistics.Difference(-0.126, -0.2, -0.004, 0.0, 66), unit="nats", of="answers")
        == "falls by 0.126 nats (-0.200 to -0.004 nats on 66 answers)"
    )
    assert (
        words.change(statistics.Difference(float("nan"), float("nan"), float("nan"), float("nan"), 0))
        == "was not measured"
    )


def test_tables_folded_texts_and_pages_within_the_page_are_inert() -> None:
    shown = [
        tables.table([(NASTY, NASTY)], caption=NASTY).data,
        folds.folded([(NASTY, NASTY)], summary=NASTY).data,
        folds.embedded_page(f"<p>{NASTY}</p>", name="x", title=NASTY).data,
    ]
    for page in shown:
        assert "<script" not in page
        assert "<img" not in page
        assert "&lt;script&gt;" in page
    assert 'sandbox="allow-scripts allow-downloads allow-modals"' in shown[2]
    assert "allow-same-origin" not in shown[2]


def test_the_shape_of_a_set_is_drawn_from_its_counts() -> None:
    shape = Shape(
        rows=4,
        distinct=4,
        prompt_words={3: 1, 5: 3},
        answer_words={40: 4},
        topics={"the_sea": 3, "air": 1},
        topics_are="topic",
    )
    figure = figures.set_shape(shape, name="x", title="A set")
    assert (
        "requests: half have at most 5 words, the longest 5; answers: half have at most 40 words, the longest 40"
        in figure.alt
    )
    assert "Rows by topic: the sea 3, air 1." in figure.alt
    assert figure.csv.splitlines()[1:] == [
        "words of a request,3,1",
        "words of a request,5,3",
        "words of an answer,40,4",
        "topic,the_sea,3",
        "topic,air,1",
    ]


def test_a_funnel_says_what_is_left() -> None:
    figure = figures.funnel([("asked", 9), ("kept", 0)], name="x", caption="c")
    assert figure.alt == "Bar chart of the rows that are left after each step: asked 9, kept 0."


def test_several_seeds_are_a_band_and_one_seed_looks_as_before(curve: pd.DataFrame) -> None:
    rows = pd.concat([responses(), responses(seed=1, refused=True)], ignore_index=True)
    by_seed = statistics.summarise(rows, by=["prompt_set", "n_safety", "seed"])
    both = statistics.summarise(rows, by=["prompt_set", "n_safety"])
    drawn = figures.dose_response(both, name="x", caption="c.", by_seed=by_seed)
    assert drawn.light != figures.dose_response(both, name="x", caption="c.").light
    assert "Bands: from the lowest to the highest of 2 seeds" in drawn.caption
    assert "Lowest and highest seed: malicious requests: 0 % to 100 % at 0, 100 % to 100 % at 50" in drawn.alt
    assert len(drawn.csv.splitlines()) == 1 + len(both) + len(by_seed)
    one = figures.dose_response(curve, name="x", caption="c.", by_seed=by_seed[by_seed["seed"] == 0])
    assert one == figures.dose_response(curve, name="x", caption="c.")


def test_win_rates_say_their_numbers() -> None:
    table = pd.DataFrame([{"label": "one", "series": "a", "win_rate": 0.9, "low": 0.8, "high": 0.95}])
    assert "a, one: 90 % (80 % to 95 %)" in figures.win_rates(table, name="w", caption="c").alt


def test_the_trend_in_words() -> None:
    text = re.sub(r"<[^>]+>", "|", tables.trend_table(responses()).data)
    # Twenty prompts, none refused at 0 and all at 50; of 20, eight or nine must change for the test to see it
    # four times in five.
    assert re.search(
        r"malicious requests\|+20\|+rises\|+below 0.001\|+below 0.001\|+not seen up to 50\|+3\d points", text
    )
    still = re.sub(r"<[^>]+>", "|", tables.trend_table(responses(refused=False)).data)
    assert re.search(r"20\|+not seen\|+1.000\|+1.000\|+from 0 on \(no change seen\)", still)
    few = responses(refused=False)
    assert "none: too few prompts" in tables.trend_table(few[few["prompt_id"].isin(["p0", "p1"])]).data
    assert "one amount only" in tables.trend_table(few[few["n_safety"] == 0]).data
    assert [words.p_value(p) for p in (0.0004, 0.034, float("nan"))] == ["below 0.001", "0.034", "not tested"]


def test_a_tally_in_a_table_says_whose_win_rate_it_is() -> None:
    row = {"prompt_set": "malicious", "annotator": NASTY, "first": "tuned", "second": "untuned", "first_better": 47, "second_better": 0,
           "equally_good": 2, "equally_bad": 1, "n": 50, "win_rate": 0.97, "low": 0.93, "high": 1.0}  # fmt: skip
    page = tables.tally_table(pd.DataFrame([row, row | {"chose_a": float("nan")}]), caption="C.").data
    assert "<script" not in page
    assert "Win rates are of &#x27;tuned&#x27;" in page
    assert "tuned better</th><th scope='col'>untuned better" in page
    assert "<td>47</td><td>0</td><td>2</td><td>1</td><td>50</td><td>97 (93–100)</td><td>no side</td>" in page


def test_a_finding_is_recorded_as_numbers_and_an_undefined_one_as_null(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown = {}
    monkeypatch.setattr(pages, "glue", lambda **values: shown.update(values))
    glue.finding("a", statistics.Difference(0.25, 0.125, 0.5, float("nan"), 40))
    glue.finding("b", statistics.Share(float("nan"), float("nan"), float("nan"), 0, 3, "none"))
    assert json.loads(shown["claim_a"]) == {
        "kind": "Difference",
        "n": 40,
        "value": 0.25,
        "low": 0.125,
        "high": 0.5,
        "p_value": None,
    }
    assert json.loads(shown["claim_b"]) == {"kind": "Share", "n": 0, "value": None, "low": None, "high": None}


def test_words_hold_their_number_for_other_runs_to_be_laid_beside(monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = {}
    monkeypatch.setattr(
        pages,
        "display",
        lambda data, metadata, raw: recorded.update(
            {metadata["scrapbook"]["name"]: metadata.get("safetune")}
        ),
    )
    row = {"share": 0.25, "low": 0.125, "high": 0.5, "n_scored": 40}
    glue.glue(
        share=words.with_interval(row),
        change=words.change(statistics.Difference(0.5, 0.25, 0.75, 0.01, 8)),
        plain=3,
    )
    assert recorded["share"]["number"] == {"kind": "Share", "n": 40, "value": 0.25, "low": 0.125, "high": 0.5}
    assert recorded["change"]["number"] == {
        "kind": "Difference",
        "n": 8,
        "value": 0.5,
        "low": 0.25,
        "high": 0.75,
        "p_value": 0.01,
    }
    assert recorded["plain"] is None
    glue.glue(longer=words.change(statistics.Difference(2.5, 1.0, 4.0, 0.01, 8), unit="tokens"))
    assert recorded["longer"]["number"]["unit"] == "tokens"


def test_a_table_holds_its_numbers_as_csv() -> None:
    page = tables.table([("a", 0.123456), ("b, c", "<i>")], caption="Some <b>numbers</b>.").data
    (name, csv) = re.search(r'<a download="([^"]+)" href="data:text/csv;base64,([^"]+)"', page).groups()
    assert name == "some_b_numbers_b.csv"
    assert base64.b64decode(csv).decode().splitlines() == [",value", "a,0.123456", '"b, c",<i>']
