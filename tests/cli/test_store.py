"""`safetune store`: what is there, and what is not as it was written."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from command_line import in_this_process

from safetune_utils import store


def made(x: int) -> Path:
    def make(folder: Path) -> None:
        (folder / "out.txt").write_text("hello")

    return store.produce(stage="stage", label="label", inputs={"x": x}, make=make)


def test_verify_names_each_stage_that_is_not_as_it_was_written(capsys: pytest.CaptureFixture[str]) -> None:
    whole, damaged, cut, old = (made(x) for x in range(4))
    assert in_this_process("store", "verify") == 0
    assert capsys.readouterr().out == "4 stages, 0 of them not as they were written\n"
    (damaged / "out.txt").write_text("jello")
    (cut / "record.json").write_text("{")
    record = json.loads((old / "record.json").read_text())
    del record["itself"]
    (old / "record.json").write_text(json.dumps(record))
    assert in_this_process("store", "verify") == 2
    said = capsys.readouterr()
    assert f"stage/{damaged.name} holds out.txt, which is not the file that was written" in said.out
    assert f"stage/{cut.name} has a record that is not whole" in said.out
    assert whole.name not in said.out
    assert "4 stages, 2 of them not as they were written\n1 records are of an older version" in said.out
    assert said.err == (
        "safetune: 2 of 4 stages count as not made: run their studies again, and they are made anew\n"
    )


def test_list_shows_what_is_made(capsys: pytest.CaptureFixture[str]) -> None:
    assert in_this_process("store", "list") == 0
    assert "no stages in" in capsys.readouterr().out
    both = [made(x) for x in range(2)]
    shutil.rmtree(both[0])
    assert in_this_process("store", "list", "--json") == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["stage"], row["folder"]) == ("stage", both[1].name)
