"""What a command writes: its form by its name, checked before the work, held while it runs, never lost."""

from __future__ import annotations

import errno
import gzip
import json
import os
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from safetune_utils import data
from safetune_utils.data import outputs
from safetune_utils.errors import SafetuneError
from safetune_utils.machine import files

ROWS: list[dict[str, Any]] = [
    {"id": "1", "prompt": "Sum it.", "response": "=1+2", "value": -0.03, "parts": {"a/b": 0.5, "c d": 1.0}},
    {"id": "2", "prompt": "@home, or «away»?", "response": "'=as typed", "value": 2},
    {"id": "3", "prompt": "List.", "response": '- salt\n- pepper, "ground"\r\n', "unscored": "-"},
    {"id": "4", "prompt": "-0.03", "response": "", "value": 0.0},
]


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv", "a.parquet", "A.CSV.gz", "a.jsonl.gz"])
def test_records_come_back_as_they_were_in_every_form(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    outputs.write_rows(path, ROWS)
    back = data.read_table(path).rows
    texts = ("id", "prompt", "response")
    assert [[row[key] for key in texts] for row in back] == [[row[key] for key in texts] for row in ROWS]
    values = [None if row.get("value") in (None, "") else float(row["value"]) for row in back]
    assert values == [-0.03, 2.0, None, 0.0]
    if name.startswith("a.json"):
        assert back == ROWS
    else:
        assert float(back[0]["parts.c d"]) == 1.0
    before = path.read_bytes()
    outputs.write_rows(path, ROWS)
    assert path.read_bytes() == before  # no time in it


def test_a_spreadsheet_gets_no_formula_and_keeps_its_numbers(tmp_path: Path) -> None:
    outputs.write_rows(tmp_path / "a.csv", ROWS)
    lines = (tmp_path / "a.csv").read_text().splitlines()
    assert lines[0] == "id,prompt,response,value,parts.a/b,parts.c d,unscored,disarmed_by_safetune"
    assert lines[1] == "1,Sum it.,'=1+2,-0.03,0.5,1.0,,response"
    assert lines[2] == "2,\"'@home, or «away»?\",'=as typed,2,,,,prompt"
    assert lines[-1] == "4,-0.03,,0.0,,,,"
    table = pd.DataFrame({"=kind": ["=cmd()", "−0.03", "-3 %", "\tx"], "n": [-1, 2, -3, 4]})
    assert outputs.as_csv(table) == "=kind,n\n'=cmd(),-1\n−0.03,2\n-3 %,-3\n'\tx,4\n"
    # An amount stays a whole number beside the empty one of the untuned model.
    table = pd.DataFrame({"n_safety": [0, 50, None], "share": [0.0, 0.5, None]})
    assert outputs.as_csv(table) == "n_safety,share\n0,0.0\n50,0.5\n,\n"
    # Of nobody else's table is a sign taken away.
    (tmp_path / "b.csv").write_text("prompt,response\n'=as typed,'-\n")
    assert data.read_table(tmp_path / "b.csv").rows == [{"prompt": "'=as typed", "response": "'-"}]


def test_the_adapters_rows_of_a_figure_are_what_they_are_where_nothing_stands_beside_them() -> None:
    alone = pd.DataFrame({"n_safety": [0, 50], "share": [0.02, 0.96]})
    others = pd.DataFrame({"n_safety": [None, 50], "share": [0.08, 0.92], "by": ["untuned", "bag of words"]})
    both = pd.concat([alone.assign(by="adapter"), others], ignore_index=True)
    pd.testing.assert_frame_equal(outputs.of_adapters(both), alone)
    pd.testing.assert_frame_equal(outputs.of_adapters(alone), alone)
    # As they were: the untuned model has no amount, and others' amounts are whole.
    pd.testing.assert_frame_equal(outputs.rows_by(both, "untuned"), pd.DataFrame({"share": [0.08]}))
    pd.testing.assert_frame_equal(
        outputs.rows_by(both, "bag of words"), pd.DataFrame({"n_safety": [50], "share": [0.92]})
    )


def test_a_name_that_says_no_form_a_folder_and_the_input_are_refused(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text("{}\n")
    (tmp_path / "link.jsonl").symlink_to(source)
    os.link(source, tmp_path / "hard.jsonl")
    (tmp_path / "folder.jsonl").mkdir()
    refused = {
        "a.xlsx": "is of no form that is written here: let it end in .jsonl, .json, .csv or .parquet, also",
        "a": "is of no form that is written here",
        "folder.jsonl": "is a folder: name a file in it",
        "in.jsonl": "is also what is read: choose another name for the output",
        "link.jsonl": "is also what is read",
        "hard.jsonl": "is also what is read",
        "folder.jsonl/../in.jsonl": "is also what is read",
    }
    for name, needed in refused.items():
        with pytest.raises(SafetuneError, match=needed), outputs.held(tmp_path / name, apart_from=[source]):
            raise AssertionError("the work began")
    with (
        pytest.raises(SafetuneError, match=r"let it end in \.html$"),
        outputs.held(tmp_path / "a.htm", forms=(".html",)),
    ):
        raise AssertionError("the work began")
    with pytest.raises(OSError, match=r"in\.jsonl"), outputs.held(source / "inside.jsonl"):
        raise AssertionError("the work began")
    assert source.read_text() == "{}\n"


def test_a_second_process_is_refused_as_long_as_the_first_works(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.jsonl"
    with outputs.held(path):
        with pytest.raises(SafetuneError, match="is being written by another process"), outputs.held(path):
            raise AssertionError("both work")
        outputs.write_rows(path, ROWS)
    with outputs.held(path):
        pass
    assert [one.name for one in path.parent.iterdir()] == ["a.jsonl"]
    with outputs.held(Path(os.devnull)):
        outputs.write_rows(Path(os.devnull), ROWS)


def test_what_cannot_be_written_is_kept_beside_and_the_line_says_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(b"what was there"))
    with monkeypatch.context() as patch:
        patch.setattr(files.os, "fsync", full)
        with pytest.raises(SafetuneError) as caught:
            outputs.write_rows(path, ROWS)
    (kept,) = tmp_path.glob("a-*.kept.jsonl")
    assert str(caught.value) == (
        f"{path} could not be written (No space left on device: make room on the disk, or choose another"
        f" place); what was computed is in {kept}"
    )
    assert [json.loads(line) for line in kept.read_text().splitlines()] == ROWS
    assert gzip.decompress(path.read_bytes()) == b"what was there"

    # A folder that is gone by then, and values that a form cannot hold.
    monkeypatch.chdir(tmp_path)
    mixed: list[dict[str, Any]] = [{"value": "one"}, {"value": 2}]
    with pytest.raises(SafetuneError, match=r"b\.parquet could not be written .* what was computed is in"):
        outputs.write_rows(tmp_path / "b.parquet", mixed)
    (tmp_path / "file").touch()
    with pytest.raises(SafetuneError, match=r"c\.html could not be written"):
        outputs.write_text(tmp_path / "file" / "c.html", "<p>")
    (kept,) = tmp_path.glob("c-*.kept.html")
    assert kept.read_text() == "<p>"
