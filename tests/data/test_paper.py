"""The paper's mixes and the question forms of its safety rows, from its files in small."""

from __future__ import annotations

import json
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
