"""The run store: every stage's files in a folder of their own, with the record of how they were made.

A stage is known by its *inputs*: a dictionary of plain values in which every file or model that it reads is
named by a hash. The folder's name ends in the hash of that dictionary, so the same inputs find the folder
again and other inputs never share it. A folder is written under another name and renamed when it is complete;
a run that is killed leaves only a ``.partial`` folder, which the next run of the same stage removes.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NotRequired

import pandas as pd
from filelock import FileLock

from safetune_utils import strict_json
from safetune_utils.errors import SafetuneError
from safetune_utils.machine.files import write_json, write_text
from safetune_utils.machine.memory import peak_memory, trim_heap
from safetune_utils.machine.surroundings import Surroundings, now, surroundings
from safetune_utils.places import inside, safe_name, store_folder

# What a stage found, such as losses and counts, or what it was made from: each kind of stage has others.
Facts = dict[str, Any]


class _Begun(Surroundings):
    """What is known of a stage when it starts."""

    stage: str
    label: str
    inputs: Facts
    started: str


class Record(_Begun):
    """How a stage was made: the content of its ``record.json``.

    Attributes:
        stage, label: as given to :func:`produce`.
        inputs: what the result depends on, as plain values and hashes.
        started: the time in UTC, to the second.
        facts: what the stage found, such as losses and counts; each kind of stage has others.
        seconds: how long it took.
        peak_memory_bytes: the highest resident memory of the process.
        files: each file's path in the folder, with its sha256.
        read: the files of other stages that it was made from, by their path in the store, with their sha256.
        versions, code, machine: see :class:`~safetune_utils.machine.surroundings.Surroundings`.
    """

    facts: Facts
    seconds: float
    peak_memory_bytes: int
    files: dict[str, str]
    read: NotRequired[dict[str, str]]


def key_of(inputs: Mapping[str, object]) -> str:
    """The 12 hexadecimal digits that stand for a dictionary of inputs, the start of its JSON's sha256."""
    return hashlib.sha256(json.dumps(inputs, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:12]


def stage_folder(*, stage: str, label: str, inputs: Mapping[str, object], store: Path | None = None) -> Path:
    """The folder of a stage with these inputs, whether it is made or not."""
    name = f"{safe_name(label, length=120)}-{key_of({'stage': stage, **inputs})}"
    return (store or store_folder()) / stage / name


def key_in(folder: Path) -> str:
    """The key at the end of a stage folder's name."""
    return folder.name.rsplit("-", 1)[1]


def is_made(folder: Path) -> bool:
    """Whether a stage folder is complete: it has a record, every file named there has the hash it had, and
    what it was made from is not by now something else under the same name.
    """
    record = read_record(folder)
    return (
        record is not None
        and all(
            inside(folder, name).is_file() and file_hash(folder / name) == digest
            for name, digest in record["files"].items()
        )
        and all(
            not (path := folder.parents[1] / name).is_file() or known_hash(path) == digest
            for name, digest in record.get("read", {}).items()
        )
    )


def read_record(folder: Path) -> Record | None:
    """The record of a stage folder, or ``None`` where there is none."""
    path = folder / "record.json"
    return json.loads(path.read_text("utf-8")) if path.is_file() else None


def record_of(folder: Path) -> Record:
    """The record of a stage folder that is made.

    Raises:
        SafetuneError: the folder has no record.
    """
    record = read_record(folder)
    if record is None:
        raise SafetuneError(f"{folder} has no record.json: run its study again, and the stage is made anew")
    return record


def produce(
    *,
    stage: str,
    label: str,
    inputs: Facts,
    make: Callable[[Path], Mapping[str, Any] | None],
    reads: Sequence[Path] = (),
    store: Path | None = None,
) -> Path:
    """Return the folder of a stage, making it only if it is not there with the same inputs.

    Args:
        stage: the kind of work, one folder of the store (``mixes``, ``adapters``, ``responses``, ``scores``).
        label: a readable start for the folder's name.
        inputs: what the result depends on, as plain values and hashes.
        make: called with an empty folder to fill; may return facts for the record (losses, counts).
        reads: files of other stages of this store that ``make`` reads. A stage that was made with one name
            can come out otherwise when it is made again, and then this one is no longer good.
        store: the run store, by default :func:`~safetune_utils.places.store_folder`.

    Two processes that want the same stage wait for each other, and the second finds it made.

    Raises:
        BaseException: whatever ``make`` raises. It is recorded under ``failed/`` and raised again, and its
            folder never counts as made.
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
        begun: _Begun = {
            "stage": stage,
            "label": label,
            "inputs": inputs,
            "started": now(),
            **surroundings(),
        }
        trim_heap()  # so that the peak below is this stage's own
        clock = time.perf_counter()
        try:
            with peak_memory() as peak:
                facts = make(partial) or {}
        except BaseException as error:
            failed = folder.parent.parent / "failed" / f"{stage}-{folder.name}.json"
            what = f"{type(error).__name__}: {error}"
            write_json(failed, {**begun, "error": what, "seconds": time.perf_counter() - clock})
            raise
        seconds = round(time.perf_counter() - clock, 3)
        files = sorted(path for path in partial.rglob("*") if path.is_file())
        record: Record = {
            **begun,
            "facts": dict(facts),
            "seconds": seconds,
            "peak_memory_bytes": peak["bytes"],
            "files": {str(path.relative_to(partial)): file_hash(path) for path in files},
            "read": {path.relative_to(folder.parents[1]).as_posix(): file_hash(path) for path in reads},
        }
        write_json(partial / "record.json", record)
        # What may be there is never complete: a folder with a damaged file, for instance.
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    return folder


def note_use(folder: Path) -> None:
    """Note that the work in progress uses a stage, in the file that ``SAFETUNE_USED`` names.

    Without that variable nothing is noted.
    """
    if name := os.environ.get("SAFETUNE_USED"):
        with Path(name).open("a", encoding="utf-8") as file:
            file.write(f"{folder.resolve()}\n")


def file_hash(path: Path) -> str:
    """sha256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def known_hash(path: Path) -> str:
    """sha256 of a file, in hexadecimal; worked out once a process for as long as its size and time stay."""
    stat = path.stat()
    return _hash_at(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=4096)
def _hash_at(path: Path, size: int, time_ns: int) -> str:
    return file_hash(path)


def write_lines(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    """Write records as JSON Lines: one JSON object a line, in UTF-8."""
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Read records from JSON Lines, in their order.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a line is not JSON, or JSON that :mod:`safetune_utils.strict_json` refuses.
    """
    return [strict_json.parse(line) for line in path.read_text("utf-8").split("\n") if line]


def list_records(store: Path | None = None) -> pd.DataFrame:
    """Every complete stage of a store.

    Returns:
        One row a stage: ``stage``, ``folder``, ``started`` (UTC), ``seconds``, ``peak_memory_mb`` (10^6
        bytes).
    """
    found = []
    for path in sorted((store or store_folder()).glob("*/*/record.json")):
        if ".partial" in path.parent.name:
            continue
        record = json.loads(path.read_text("utf-8"))
        found.append(
            {
                "stage": record["stage"],
                "folder": path.parent.name,
                "started": record["started"],
                "seconds": record["seconds"],
                "peak_memory_mb": round(record["peak_memory_bytes"] / 1e6),
            }
        )
    return pd.DataFrame(found, columns=["stage", "folder", "started", "seconds", "peak_memory_mb"])
