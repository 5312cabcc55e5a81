"""The page "What it survives" counts what the harness wrote, hides no fault and nothing untried."""

from __future__ import annotations

from typing import Any

import pytest
from html_tables import rows_of

from safetune_utils import places
from safetune_utils.book.generated import survives

ABOUT: dict[str, Any] = {
    "seed": 3,
    "started": "2026-01-01T00:00:00+00:00",
    "seconds": 90,
    "machine": {"processor": "P"},
    "versions": {"torch": "0"},
    "not_tried": [],
    "faults": [],
}


def test_the_published_trials_are_all_counted_and_none_is_wrong() -> None:
    kinds = places.results("faults")["kinds"]
    assert kinds.keys() == survives.KINDS.keys()
    assert [found["faults"] for found in kinds.values()] == [[]] * len(kinds)
    pages = survives.parts()
    rows = rows_of(pages["survives_kinds"])[1:]
    assert [int(row[1]) for row in rows] == [len(kinds[kind]["trials"]) for kind in survives.KINDS]
    assert all(int(row[1]) == sum(int(cell or 0) for cell in row[2:5]) for row in rows)
    assert int(rows_of(pages["survives_kills"])[-1][-1]) >= 100
    assert sum(int(row[2]) for row in rows_of(pages["survives_works"])[1:]) >= 100
    others = [kind for kind in kinds if kind != "kills"]
    n_trials = sum(len(kinds[kind]["trials"]) for kind in others)
    assert len(rows_of(pages["survives_trials"])) == n_trials + len(others)  # and the head of each table


def test_kills_are_counted_by_stage_signal_and_work(monkeypatch: pytest.MonkeyPatch) -> None:
    def trial(work: str, *kills: tuple[str, str]) -> dict[str, Any]:
        told = [{"stage": stage, "signal": by, "processes": 2} for stage, by in kills]
        return {"what": work, "came": "the same bytes", "seconds": 1, "kills": told}

    first = trial("alone", ("adapters", "KILL"), ("adapters", "INT"), ("scores", "KILL"))
    kinds = {"kills": ABOUT | {"trials": [first, trial("book", ("scores", "KILL")), trial("alone")]}}
    monkeypatch.setattr(places, "results", lambda name: {"kinds": kinds})
    pages = survives.parts()
    assert rows_of(pages["survives_kills"])[1:] == [
        ["adapters", "1", "", "1", "", "", "2"],
        ["scores", "2", "", "", "", "", "2"],
        ["all", "3", "0", "1", "0", "0", "4"],
    ]
    works = [row[1:] for row in rows_of(pages["survives_works"])[1:]]
    assert works == [["2", "3", "3"], ["0", "0", "0"], ["0", "0", "0"], ["1", "1", "1"], ["0", "0", "0"]]


def test_a_fault_and_what_was_not_tried_are_told_and_lines_are_escaped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    disk = {"what": "full", "came": "one line", "seconds": 1, "line": "no <room>"}
    kill = {"what": "alone", "came": "the same bytes", "seconds": 1}
    kill |= {"kills": [{"stage": "adapter", "signal": "INT", "processes": 3}] * 2}
    made: dict[str, Any] = {
        "disk": ABOUT | {"trials": [disk], "not_tried": ["a <mount>"], "faults": ["full: it hung"]},
        "kills": ABOUT | {"trials": [kill], "not_tried": [], "faults": []},
    }
    monkeypatch.setattr(places, "results", lambda name: {"kinds": made})
    pages = survives.parts()
    assert rows_of(pages["survives_kinds"])[1][1:] == ["1", "1", "", "", "0"]
    assert rows_of(pages["survives_kinds"])[2][1:] == ["1", "", "1", "", "1"]
    assert "it hung" in pages["survives_kinds"]
    assert rows_of(pages["survives_kills"])[1] == ["adapter", "", "", "2", "", "", "2"]
    assert "no &lt;room&gt;" in pages["survives_trials"]
    for untold in ("a &lt;mount&gt;", survives.KINDS["clock"], survives.KINDS["servers"]):
        assert untold in pages["survives_not_tried"]
    disk["came"] = "something else"
    with pytest.raises(ValueError, match="something else"):
        survives.parts()
