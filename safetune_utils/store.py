"""The run store: every stage's files in a folder of their own, with the record of how they came to be.

A stage is known by its *inputs*: a dictionary of plain values in which every file or model it reads stands as
a hash. The folder's name ends in the hash of that dictionary, so the same inputs are found again and other
inputs never collide. A folder is written beside its final place and renamed when whole; a killed run leaves
only a ``.partial`` folder, which the next run of the same stage removes.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock

from safetune_utils.errors import SafetuneError
from safetune_utils.machine.memory import peak_memory, trim_heap
from safetune_utils.machine.surroundings import now, surroundings
from safetune_utils.places import store_folder


def key_of(inputs: dict[str, Any]) -> str:
    """The 12 hexadecimal digits that stand for a dictionary of inputs."""
    return hashlib.sha256(json.dumps(inputs, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:12]


def stage_folder(*, stage: str, label: str, inputs: dict[str, Any], store: Path | None = None) -> Path:
    """The folder in which a stage with these inputs lies, or will lie."""
    return (store or store_folder()) / stage / f"{label}-{key_of({'stage': stage} | inputs)}"


def is_made(folder: Path) -> bool:
    """Whether a stage folder is whole: its record is there and every file it names has the hash it had."""
    record = read_record(folder)
    return record is not None and all(
        (folder / name).is_file() and file_hash(folder / name) == digest
        for name, digest in record["files"].items()
    )


def read_record(folder: Path) -> dict[str, Any] | None:
    """The record of a stage folder, or ``None`` where there is none."""
    path = folder / "record.json"
    return json.loads(path.read_text("utf-8")) if path.is_file() else None


def record_of(folder: Path) -> dict[str, Any]:
    """The record of a stage folder that is made.

    Raises:
        SafetuneError: the folder holds no record.
    """
    record = read_record(folder)
    if record is None:
        raise SafetuneError(f"{folder} holds no record.json: remove the folder, and the stage is made anew")
    return record


def produce(
    *,
    stage: str,
    label: str,
    inputs: dict[str, Any],
    make: Callable[[Path], dict[str, Any] | None],
    store: Path | None = None,
) -> Path:
    """Return the folder of a stage, making it only if it is not there with the same inputs.

    Args:
        stage: the station on the road, one folder of the store (``mixes``, ``adapters``, ``responses``,
            ``scores``).
        label: a readable start for the folder's name.
        inputs: what the result depends on, as plain values and hashes.
        make: called with an empty folder to fill; may return facts for the record (losses, counts).
        store: the run store, by default :func:`store_folder`.

    Two processes that want the same stage wait for each other, and the second finds it made. A failure is
    recorded under ``failed/`` and raised again; nothing of it is taken for whole.
    """
    folder = stage_folder(stage=stage, label=label, inputs=inputs, store=store)
    note_use(folder)
    if is_made(folder):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if is_made(folder):
            return folder
        partial = folder.with_name(f"{folder.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        record = {"stage": stage, "label": label, "inputs": inputs, "started": now()} | surroundings()
        trim_heap()  # so that the peak below is this stage's own
        clock = time.perf_counter()
        try:
            with peak_memory() as peak:
                record["facts"] = make(partial) or {}
        except BaseException as error:
            failed = folder.parent.parent / "failed" / f"{stage}-{folder.name}.json"
            _write_json(
                failed,
                record
                | {"error": f"{type(error).__name__}: {error}", "seconds": time.perf_counter() - clock},
            )
            raise
        record["seconds"] = round(time.perf_counter() - clock, 3)
        record["peak_memory_bytes"] = peak["bytes"]
        files = sorted(path for path in partial.rglob("*") if path.is_file())
        record["files"] = {str(path.relative_to(partial)): file_hash(path) for path in files}
        _write_json(partial / "record.json", record)
        shutil.rmtree(
            folder, ignore_errors=True
        )  # only ever an unwhole folder, such as one with a damaged file
        partial.rename(folder)
    return folder


def note_use(folder: Path) -> None:
    """Note that the work in progress rests on a stage, in the file that ``SAFETUNE_USED`` names; without one,
    nothing is noted.
    """
    if name := os.environ.get("SAFETUNE_USED"):
        with Path(name).open("a", encoding="utf-8") as file:
            file.write(f"{folder.resolve()}\n")


def file_hash(path: Path) -> str:
    """sha256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write records as JSON Lines."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Read records from JSON Lines."""
    return [json.loads(line) for line in path.read_text("utf-8").split("\n") if line]


def list_records(store: Path | None = None) -> pd.DataFrame:
    """Every whole stage of a store, one row each: stage, folder, start, seconds, peak memory in MB."""
    found = []
    for path in sorted((store or store_folder()).glob("*/*/record.json")):
        if ".partial" in path.parent.name:
            continue
        record = json.loads(path.read_text("utf-8"))
        found.append(
            {
                "stage": record["stage"], "folder": path.parent.name, "started": record["started"],
                "seconds": record["seconds"], "peak_memory_mb": round(record["peak_memory_bytes"] / 1e6),
            }
        )  # fmt: skip
    return pd.DataFrame(found, columns=["stage", "folder", "started", "seconds", "peak_memory_mb"])


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")
