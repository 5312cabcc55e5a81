"""The page of the authors' own answers: counts with intervals, and verdicts that can fail."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from estimates import UNSCORED, share
from html_tables import rows_of

from safetune_utils import data, places
from safetune_utils.book.generated import authors_answers
from safetune_utils.book.generated.authors_answers import measurement_verdict
from safetune_utils.statistics import Estimate

OURS = share(0.18, 0.10, 0.31)
QUIET, LOUD = share(0.02, 0.01, 0.06), share(0.06, 0.03, 0.11)


@pytest.mark.parametrize(
    ("figure", "ours", "false_alarms", "expected"),
    [
        (0.20, OURS, QUIET, "reproduced (measurement)"),
        (0.31, OURS, QUIET, "reproduced (measurement)"),
        (0.32, OURS, QUIET, "not reproduced (measurement)"),
        (0.09, OURS, QUIET, "not reproduced (measurement)"),
        (None, OURS, QUIET, "none"),
        (0.20, UNSCORED, QUIET, "none"),
        # An instrument that does not pass its control, or has none, decides nothing, in either direction.
        (0.20, OURS, LOUD, "none: the instrument does not pass its control"),
        (0.90, OURS, LOUD, "none: the instrument does not pass its control"),
        (0.20, OURS, UNSCORED, "none: the instrument does not pass its control"),
    ],
)
def test_a_verdict_follows_from_figure_interval_and_control(
    figure: float | None, ours: Estimate, false_alarms: Estimate, expected: str
) -> None:
    assert measurement_verdict(figure, ours, false_alarms=false_alarms) == expected


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, int]], dict[str, str]]:
    """The page of made counts: at every amount and of 50, an instrument says yes to so many by prompt set."""

    def page(yes: dict[str, int]) -> dict[str, str]:
        names = ("refusal-rules", "harmfulness")
        places_of = [(name, s, n) for name in names for s in yes for n in data.PAPER_RESPONSE_AMOUNTS]
        found = {
            "precision": "fp32",
            "code": "abc",
            "versions": {"torch": "0", "transformers": "0"},
            "weights": {},
            "instruments": {key: {} for key in names},
            "shares": [
                {"instrument": name, "prompt_set": s, "n_safety": n, "yes": yes[s], "n": 50, "n_unscored": 0}
                for name, s, n in places_of
            ],
            "pairs": [],
            "openings": [],
        }
        monkeypatch.setattr(places, "results", lambda name: found)
        return authors_answers.parts()

    return page


def test_verdicts_fall_where_the_counts_are_others(
    counted: Callable[[dict[str, int]], dict[str, str]],
) -> None:
    def verdicts(yes: dict[str, int]) -> dict[tuple[str, str], str]:
        rows = rows_of(counted(yes)["authors_answers_figures"])[1:]
        return {(row[0].split(" read off")[0], row[2]): row[-1] for row in rows}

    # 45 of 50 refuse, so 5 do not: .10 lies within its interval, .92 does not.
    found = verdicts({"malicious": 45, "AlpacaEval": 1, "early XSTest": 9})
    refused = "not refused refusal-rules"
    assert found["unsafe responses, no safety data", refused] == "not reproduced (measurement)"
    assert found["unsafe responses, 500 safety examples", refused] == "reproduced (measurement)"
    assert found["exaggerated safety, 500 safety examples", "refuse refusal-rules"] == (
        "reproduced (measurement)"
    )
    # Gibberish that refuses everything, and harm seen in ordinary answers, decide nothing.
    found = verdicts({"malicious": 45, "AlpacaEval": 24, "early XSTest": 9})
    assert set(found.values()) == {"none: the instrument does not pass its control"}


def test_the_page_has_every_count_with_its_interval_and_no_answer(mirror: object) -> None:
    found, pages = places.results("authors_answers"), authors_answers.parts()
    rows = rows_of(pages["authors_answers_shares"])[1:]
    assert len(rows) == len(found["instruments"]) * len(data.PAPER_ANSWERED)
    shown = [cell for row in rows for cell in row[2:]]
    assert len(shown) == len(found["shares"]) == 36
    for one in found["shares"]:
        assert any(cell.endswith(f"{one['yes']} of {one['n']}") for cell in shown), one
    for row in rows_of(pages["authors_answers_figures"])[1:]:
        assert row[-1].endswith("(measurement)") or row[-1].startswith("none")
    published = "".join(pages.values()) + str(found)
    for row in data.paper_responses():
        assert row.prompt not in published
        assert row.response not in published
