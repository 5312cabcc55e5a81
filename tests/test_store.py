"""The run store: nothing made twice, nothing half-made taken for whole, and processes that wait for each
other.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors import SafetensorError

from safetune_utils import store
from safetune_utils.errors import SafetuneError
from safetune_utils.machine.batches import computed

MAKER = """
import sys, time
from pathlib import Path
from safetune_utils import store

def make(folder):
    (folder / "half").write_text("half")
    print("started", flush=True)
    time.sleep(float(sys.argv[1]))
    (folder / "out").write_text("whole")
    with open(sys.argv[2], "a") as log:
        log.write("made\\n")

print(store.produce(stage="s", label="l", inputs={"a": 1}, make=make), flush=True)
"""


def produce(calls: list[int], inputs: dict, text: str = "hello") -> Path:
    def make(folder: Path) -> dict:
        calls.append(1)
        (folder / "out.txt").write_text(text)
        return {"length": len(text)}

    return store.produce(stage="stage", label="label", inputs=inputs, make=make)


def test_a_stage_is_made_once_and_again_only_for_other_inputs() -> None:
    calls: list[int] = []
    first = produce(calls, {"x": 1, "y": "hash"})
    assert produce(calls, {"y": "hash", "x": 1}) == first
    assert len(calls) == 1
    assert produce(calls, {"x": 2, "y": "hash"}) != first
    assert len(calls) == 2


def test_the_record_says_how_it_came_to_be() -> None:
    record = store.read_record(produce([], {"x": 1}))
    assert record["inputs"] == {"x": 1}
    assert record["facts"] == {"length": 5}
    assert record["seconds"] >= 0
    assert record["peak_memory_bytes"] > 10_000_000
    assert record["versions"]["torch"]
    assert record["machine"]["threads"] >= 1
    assert record["code"]
    assert list(record["files"]) == ["out.txt"]


@pytest.mark.parametrize("harm", ["change", "remove"])
def test_a_damaged_stage_is_made_again(harm: str) -> None:
    calls: list[int] = []
    folder = produce(calls, {"x": 1})
    path = folder / "out.txt"
    path.write_text("tampered") if harm == "change" else path.unlink()
    assert not store.is_made(folder)
    assert (produce(calls, {"x": 1}) / "out.txt").read_text() == "hello"
    assert len(calls) == 2


def test_a_failure_is_filed_and_nothing_is_left_that_looks_whole(tmp_path: Path) -> None:
    def make(folder: Path) -> None:
        (folder / "half").write_text("half")
        raise RuntimeError("no luck")

    with pytest.raises(RuntimeError, match="no luck"):
        store.produce(stage="stage", label="label", inputs={}, make=make)
    assert not store.is_made(store.stage_folder(stage="stage", label="label", inputs={}))
    (failed,) = (tmp_path / "runs" / "failed").glob("*.json")
    assert "no luck" in json.loads(failed.read_text())["error"]
    assert store.list_records().empty


def test_a_failure_that_cannot_be_noted_is_told_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "failed").touch()

    def make(folder: Path) -> None:
        raise RuntimeError("no luck")

    with pytest.raises(RuntimeError, match="no luck"):
        store.produce(stage="s", label="l", inputs={"a": 1}, make=make)


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
        SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
    ],
)
def test_a_full_disk_is_one_line_with_its_mend_and_what_is_made_later_is_whole(error: Exception) -> None:
    def make(folder: Path) -> None:
        (folder / "half.txt").write_text("half")
        raise error

    given = {"stage": "s", "label": "l", "inputs": {"a": 1}}
    told = r"s/l-\w+ could not be written \(No space left on device: make room on the disk"
    with pytest.raises(SafetuneError, match=told):
        store.produce(**given, make=make)
    folder = store.produce(**given, make=lambda folder: None)
    assert [path.name for path in folder.iterdir()] == ["record.json"]


def test_a_killed_run_leaves_nothing_that_is_taken_for_whole_and_can_go_on(tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = subprocess.Popen(
        [sys.executable, "-c", MAKER, "60", str(log)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "started\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    folder = store.stage_folder(stage="s", label="l", inputs={"a": 1})
    assert not store.is_made(folder)
    subprocess.run([sys.executable, "-c", MAKER, "0", str(log)], check=True, capture_output=True)
    assert store.is_made(folder)
    assert (folder / "out").read_text() == "whole"
    assert not list(folder.parent.glob("*.partial"))


def test_two_processes_that_want_the_same_stage_make_it_once(tmp_path: Path) -> None:
    log = tmp_path / "log"
    both = [
        subprocess.Popen([sys.executable, "-c", MAKER, "1.5", str(log)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    last_lines = [process.communicate(timeout=120)[0].splitlines()[-1] for process in both]
    assert last_lines[0] == last_lines[1]
    assert log.read_text() == "made\n"


def _copied(folder: Path, to: Path) -> Path:
    """A copy of a stage's store under new times, as a plain copy makes it; the stage's folder there."""
    shutil.copytree(folder.parents[1], to, copy_function=shutil.copyfile)
    for path in to.rglob("*"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    return to / folder.parent.name / folder.name


def test_a_plan_reads_no_file_that_has_the_size_and_time_it_was_written_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = produce([], {"x": 1})
    hashed: list[Path] = []
    hash_now = store.file_hash
    monkeypatch.setattr(store, "file_hash", lambda path: hashed.append(path) or hash_now(path))
    assert store.is_made(folder, trusting=True)
    assert len(store.list_records()) == 1
    assert not hashed
    # A copied store has other times: it is looked into once, and not remade.
    copy = _copied(folder, tmp_path / "copy")
    assert store.is_made(copy, trusting=True)
    assert hashed == [copy / "out.txt"]
    store._hash_at.cache_clear()
    assert store.is_made(copy, trusting=True)
    assert len(hashed) == 1
    # What is to be read is read whole.
    (copy / "out.txt").write_text("jello")
    os.utime(copy / "out.txt", (folder / "out.txt").stat()[-2:])
    assert store.is_made(copy, trusting=True)
    assert not store.is_made(copy)
    with pytest.raises(SafetuneError, match="which is not the file that was written"):
        store.checked(copy / "out.txt")


def test_a_record_of_an_older_version_is_read_and_told_from_the_others() -> None:
    folder = produce([], {"x": 1})
    record = json.loads((folder / "record.json").read_text())
    assert {"itself", "written"} < record.keys()
    old = {name: value for name, value in record.items() if name not in ("itself", "written")}
    (folder / "record.json").write_text(json.dumps(old))
    calls: list[int] = []
    assert produce(calls, {"x": 1}) == folder
    assert not calls
    assert store.is_made(folder, trusting=True)
    (stage,) = store.stages()
    assert not stage.fault
    assert "itself" not in stage.record
    (folder / "out.txt").write_text("jello")
    assert not store.is_made(folder, trusting=True)


def test_files_are_on_the_disk_before_a_folder_gets_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    flush, rename = store.flush, Path.rename
    monkeypatch.setattr(store, "flush", lambda path: done.append(f"flush {path.name}") or flush(path))
    monkeypatch.setattr(
        Path, "rename", lambda path, to: done.append(f"rename to {to.name}") or rename(path, to)
    )
    folder = produce([], {"x": 1})
    assert done == ["flush out.txt", f"rename to {folder.name}", "flush stage"]


def test_what_was_computed_before_a_kill_is_not_computed_again_and_nothing_is_left_of_it() -> None:
    asked: list[int] = []

    def make(folder: Path, *, stop: bool) -> None:
        def compute(places: list[int]) -> list[int]:
            if stop and len(asked) == 4:
                raise KeyboardInterrupt
            asked.extend(places)
            return places

        found = computed(compute, [1] * 6, rows=2)
        (folder / "out.txt").write_text(str(found))

    def made(*, stop: bool) -> Path:
        return store.produce(stage="s", label="l", inputs={}, make=lambda folder: make(folder, stop=stop))

    with pytest.raises(KeyboardInterrupt):
        made(stop=True)
    assert (made(stop=False) / "out.txt").read_text() == "[0, 1, 2, 3, 4, 5]"
    assert asked == [0, 1, 2, 3, 4, 5]
    assert not list((store.store_folder() / "checkpoints").iterdir())
