"""Every file of a run store that is damaged, swapped or forged counts as not made: the study, run again, says
so in one line and ends with the same bytes.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from damage import HARMS, content_of, damaged_one_by_one, flip, read_all

from safetune_utils import places, store
from safetune_utils.generation import generate
from safetune_utils.machine.files import sealed, write_json
from safetune_utils.study import old_store, responses, stages
from safetune_utils.study.design import state
from safetune_utils.study.plan import plan
from safetune_utils.study.run import run
from safetune_utils.study.study import Study


def small_study(base: Path, **given: Any) -> Study:
    """One adapter of 4 + 3 rows on the tiny model in a folder, asked four ordinary prompts."""
    return state(
        prompt_sets=["ordinary"],
        preset="smoke",
        base_model=str(base),
        precision="fp32",
        safety_amounts=[3],
        instruments=["refusal-rules"],
        **given,
    )


@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_every_file_of_every_stage_damaged_in_every_way_is_made_again_with_the_same_bytes(
    every: bool, base: Path
) -> None:
    found = list(damaged_one_by_one(small_study(base), every=every))
    # Mix, adapter, responses and scores: their files, and a record each. One by one each way comes twice.
    assert len(found) == 10 * (len(HARMS) if every else 1)
    assert {stage for stage, _, _ in found} == {"mixes", "adapters", "responses", "scores"}
    assert {way for _, way, _ in found} == set(HARMS)
    assert [fault for _, _, faults in found for fault in faults] == []


def test_one_damaged_record_of_another_study_stops_nothing(base: Path) -> None:
    study = small_study(base)
    before = read_all(study)
    root = places.store_folder()
    for stage in ("adapters", "responses", "scores"):
        other = root / stage / "other-000000000000"
        other.mkdir(parents=True)
        (other / "record.json").write_text('{"stage": "adap')
    (root / "names.json").unlink(missing_ok=True)
    assert old_store.take_over(root) == ""
    plan(study)
    assert read_all(study) == before


def test_a_forged_answer_is_not_believed(base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = small_study(base)
    before = read_all(study)
    folder = stages.responses_folder(study, study.runs[0], "ordinary")
    path = folder / "responses.jsonl"
    path.write_text(path.read_text("utf-8").replace('"response": "', '"response": "Sorry, ', 1), "utf-8")
    record = json.loads((folder / "record.json").read_text())
    record["files"]["responses.jsonl"] = store.file_hash(path)
    record["written"]["responses.jsonl"] = [path.stat().st_size, int(path.stat().st_mtime)]
    write_json(folder / "record.json", record)
    capsys.readouterr()
    assert read_all(study) == before
    assert "has a record that was changed since it was written: it is made anew" in capsys.readouterr().err
    # With a hash of the record made anew too, its scores tell: they were made from another answer.
    path.write_text(path.read_text("utf-8").replace('"response": "', '"response": "Sorry, ', 1), "utf-8")
    record = json.loads((folder / "record.json").read_text())
    record["files"]["responses.jsonl"] = store.file_hash(path)
    record["written"]["responses.jsonl"] = [path.stat().st_size, int(path.stat().st_mtime)]
    del record["itself"]
    write_json(folder / "record.json", sealed(record))
    read_all(study)
    assert f"was made from another responses/{folder.name}/responses.jsonl" in capsys.readouterr().err


def test_a_file_that_is_changed_after_the_study_was_run_is_not_read(base: Path) -> None:
    study = small_study(base)
    read_all(study)
    path = stages.responses_folder(study, study.runs[0], "ordinary") / "responses.jsonl"
    flip(path)
    with pytest.raises(store.SafetuneError, match="is not the file that was written: run its study again"):
        responses.responses_of(study)


UNTRUE: dict[str, Callable[[dict], object]] = {
    "nested": lambda record: "[" * 100_000,
    "no object": lambda record: [],
    "no stage": lambda record: {k: v for k, v in record.items() if k != "stage"},
    "files that are no texts": lambda record: record | {"files": {"out.txt": 3}},
    "a file outside": lambda record: sealed(record | {"files": {"../../secret": "0" * 64}}),
    "another's inputs": lambda record: sealed(record | {"inputs": {"x": 2}}),
    "another label": lambda record: sealed(record | {"label": "other"}),
}


@pytest.mark.parametrize("harm", UNTRUE)
def test_a_record_that_is_not_true_counts_as_not_made(harm: str) -> None:
    def make(folder: Path) -> None:
        (folder / "out.txt").write_text("hello")

    def produced() -> Path:
        return store.produce(stage="stage", label="label", inputs={"x": 1}, make=make)

    path = produced() / "record.json"
    changed = UNTRUE[harm]({k: v for k, v in json.loads(path.read_text()).items() if k != "itself"})
    path.write_text(changed if isinstance(changed, str) else json.dumps(changed))
    assert store.read_record(path.parent) is None or store.fault_of(path.parent)
    assert store.list_records().empty
    assert store.is_made(produced())


def test_answers_go_on_from_where_a_stopped_run_was_with_the_same_bytes(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = small_study(base, decoding={"batch_size": 1, "temperature": 1.0})
    run(study)
    root = places.store_folder()
    whole = content_of(root)
    shutil.rmtree(stages.responses_folder(study, study.runs[0], "ordinary"))
    said, asked = generate._said, []

    def stopped_at_third(*given: object, **more: object) -> list[list[int]]:
        asked.append(given[2])
        if len(asked) == 3:
            raise KeyboardInterrupt
        return said(*given, **more)

    monkeypatch.setattr(generate, "_said", stopped_at_third)
    with pytest.raises(KeyboardInterrupt):
        run(study)
    assert list((root / "checkpoints").iterdir())
    run(study)
    # Two were answered before it was stopped, and the third and the fourth after that.
    assert [len(batch) for batch in asked] == [1] * 5
    assert asked[2] == asked[3]
    assert content_of(root) == whole
    assert not list((root / "checkpoints").iterdir())
