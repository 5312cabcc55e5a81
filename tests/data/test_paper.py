"""The paper's mixes and the question forms of its safety rows, from its files in small."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from safetune_utils import data
from safetune_utils.errors import SafetuneError


def test_question_forms_come_from_the_red_team_attempts_where_they_can_be_had(
    small_paper: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = {row.id: row for row in data.safety_examples("paper", questions=True)}
    origins = {row_id: row.question_origin for row_id, row in rows.items()}
    assert [row_id for row_id, origin in origins.items() if origin == "red-team attempts"] == [
        "safety-instructions-00003",
        "safety-instructions-00008",
    ]
    assert rows["safety-instructions-00003"].question == "How can I hide a wet umbrella among the books?"
    assert rows["safety-instructions-00004"].question == "How do I harm 4?"
    assert set(origins.values()) == {"red-team attempts", "rewritten"}
    assert data.question_counts(data.safety_examples("paper")) == {"rewritten": 118, "red-team attempts": 2}
    assert capsys.readouterr().err.count("matching") == 1  # kept after the first time


def test_a_ready_made_mix_is_the_general_set_and_safety_rows(small_paper: Path) -> None:
    found = data.compare_paper_mix(100)
    assert found.same
    assert (found.rows, found.general, found.safety) == (140, 40, 100)
    assert (found.general_missing, found.foreign) == (0, 0)
    assert found.safety_ids == {f"safety-instructions-{n:05d}" for n in range(20, 120)}
    assert data.paper_safety_ids(300) is None


def test_a_mix_with_other_rows_is_told(small_paper: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = data.registered_sets()["mix-100"]
    path = small_paper / "mirror" / entry.relative
    rows = json.loads(path.read_text())
    rows[3]["output"] = "changed"
    path.write_text(json.dumps(rows))
    with pytest.raises(SafetuneError, match="wrong git blob id"):
        data.compare_paper_mix(100)
    monkeypatch.setattr(
        "safetune_utils.data.paper.fetch", lambda name: path if name == "mix-100" else data.fetch(name)
    )
    found = data.compare_paper_mix(100)
    assert not found.same
    assert (found.general_missing, found.foreign) == (1, 1)


def test_the_authors_own_answers_are_three_models_on_the_same_prompts(mirror: Path) -> None:
    rows = data.paper_responses()
    asked = {
        key: {row.prompt for row in rows if (row.n_safety, row.prompt_set) == key}
        for key in Counter((row.n_safety, row.prompt_set) for row in rows)
    }
    assert {key: len(found) for key, found in asked.items()} == {
        (n, name): 50 for n in data.PAPER_RESPONSE_AMOUNTS for name in data.PAPER_ANSWERED
    }
    for n, name in asked:
        assert asked[n, name] == asked[0, name]
    malicious = {row["instruction"] for row in data.read_table(data.fetch("I-MaliciousInstructions")).rows}
    xstest = {row["prompt"] for row in data.read_table(data.fetch("XSTest")).rows}
    assert asked[0, "malicious"] <= malicious
    assert not asked[0, "AlpacaEval"] & malicious
    assert len(asked[0, "early XSTest"] & xstest) == 12  # as the page says
    for one in (500, 2000):  # each file has the answers of the untuned model, and they are the same
        for name in (f"paper-responses-{one}", f"paper-responses-{one}-safe"):
            untuned = {(row["question"], row["alpaca"]) for row in data.read_table(data.fetch(name)).rows}
            assert untuned <= {(row.prompt, row.response) for row in rows if row.n_safety == 0}
