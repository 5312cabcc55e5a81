"""The run store: every stage's files in a folder of their own, with the record of how they were made.

A stage is known by its *inputs*: a dictionary of plain values in which every file or model that it reads is
named by a hash. The folder's name ends in the hash of that dictionary, so the same inputs find the folder
again and other inputs never share it. A folder is written under another name and renamed when it is complete;
a run that is killed leaves only a ``.partial`` folder, which the next run of the same stage removes, and what
it had computed so far, with which the next goes on.

What is stored is believed only where it can be checked: a record by its form, by a hash of itself and by its
inputs giving the folder's own name, and a file by the hash in the record, whenever it is read. What does not
hold counts as not made. These hashes find damage and slips, not somebody who means to deceive and writes them
anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, NotRequired, cast

import pandas as pd
from filelock import FileLock
from pydantic import TypeAdapter

from safetune_utils import strict_json
from safetune_utils.errors import SafetuneError, of_system, unwritable
from safetune_utils.machine.batches import kept_in
from safetune_utils.machine.files import flush, is_as_sealed, json_lines, sealed, write_json, write_text
from safetune_utils.machine.memory import peak_memory, trim_heap
from safetune_utils.machine.surroundings import Surroundings, now, surroundings
from safetune_utils.places import inside, safe_name, store_folder
from safetune_utils.secrets import hidden
from safetune_utils.terminal import say

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
        written: of each file, its size in bytes and the time of its last change in seconds since 1970; not in
            records of older versions.
        read: the files of other stages that it was made from, by their path in the store, with their sha256.
        itself: the hash of all else in the record (:func:`~safetune_utils.machine.files.sealed`); not in
            records of older versions, which are read as they are.
        versions, code, machine: see :class:`~safetune_utils.machine.surroundings.Surroundings`.
    """

    facts: Facts
    seconds: float
    peak_memory_bytes: int
    files: dict[str, str]
    written: NotRequired[dict[str, tuple[int, int]]]
    read: NotRequired[dict[str, str]]
    itself: NotRequired[str]


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


def is_made(folder: Path, *, trusting: bool = False) -> bool:
    """Whether a stage folder is complete and nothing in it is other than it was written.

    Args:
        folder: of the stage.
        trusting: whether a file of the size and time of change that it was written with counts as unchanged;
            for plans, which read none. Else its hash is worked out, once a process.
    """
    return fault_of(folder, trusting=trusting) == ""


def fault_of(folder: Path, *, trusting: bool = False) -> str | None:
    """Why a stage folder that is there counts as not made, in words that follow its name; empty where it is
    made, and ``None`` where it is not there.

    Args:
        folder: of the stage.
        trusting: as in :func:`is_made`.
    """
    return _looked_at(folder, trusting=trusting)[1] if folder.is_dir() else None


def _looked_at(folder: Path, *, trusting: bool) -> tuple[Record | None, str]:
    """The record of a stage folder where it can be believed, and why the folder counts as not made; empty
    where it is made.
    """
    record = None
    try:
        record = _record(folder)
        for name in record["files"]:
            _check(folder, record, name, trusting=trusting)
        for name, digest in record.get("read", {}).items():
            maker = read_record(inside(folder.parents[1], name).parent)
            if maker and maker["files"].get(Path(name).name, digest) != digest:
                return record, f"was made from another {name} than there is now"
    except SafetuneError as error:  # a name in the record leads out of the folder
        return record, f"has a record that is not true ({error})"
    except NotMadeError as fault:
        return record, str(fault)
    return record, ""


class NotMadeError(Exception):
    """A stage folder counts as not made; the text says why, in words that follow its name."""


def _check(folder: Path, record: Record, name: str, *, trusting: bool = False) -> None:
    path, written = inside(folder, name), record.get("written", {}).get(name)
    try:
        stat = path.stat()
        if written and written[0] != stat.st_size:
            raise NotMadeError(f"holds {name} in another size than was written")
        if trusting and written and written[1] == int(stat.st_mtime):
            return
        if known_hash(path) != record["files"][name]:
            raise NotMadeError(f"holds {name}, which is not the file that was written")
        if written and written[1] != int(stat.st_mtime):  # a copied store: the next plan need not look inside
            with contextlib.suppress(OSError):
                os.utime(path, (written[1], written[1]))
    except FileNotFoundError:
        raise NotMadeError(f"lacks {name}") from None
    except OSError as error:
        raise NotMadeError(f"holds {name}, which cannot be read ({of_system(error)})") from None


def checked(path: Path) -> Path:
    """A file of a stage, after a check that it is the one that was written.

    Raises:
        SafetuneError: it is not, or its stage is not made.
    """
    folder = path.parent
    try:
        record = _record(folder)
        if path.name not in record["files"]:
            raise NotMadeError(f"has no {path.name}")
        _check(folder, record, path.name)
    except NotMadeError as fault:
        raise SafetuneError(
            f"{folder.parent.name}/{folder.name} {fault}: run its study again, and it is made anew"
        ) from None
    return path


def read_record(folder: Path) -> Record | None:
    """The record of a stage folder; ``None`` where there is none, or it is damaged, or another stage's."""
    try:
        return _record(folder)
    except NotMadeError:
        return None


def _record(folder: Path) -> Record:
    """The record of a stage folder.

    Raises:
        NotMadeError: there is none, or none that can be believed.
    """
    record = parse_record(folder / "record.json")
    try:
        own = stage_folder(
            stage=record["stage"], label=record["label"], inputs=record["inputs"], store=folder.parents[1]
        )
    except ValueError:  # half a character
        own = None
    if own != folder:
        raise NotMadeError("has a record that belongs to another stage")
    return record


def parse_record(path: Path) -> Record:
    """What a record's file says, whatever folder it is in.

    Raises:
        NotMadeError: it is not there, cannot be read, has not a record's form, or was changed.
    """
    try:
        stat = path.stat()
        return _record_at(path, stat.st_size, stat.st_mtime_ns)
    except FileNotFoundError:
        raise NotMadeError("has no record") from None
    except OSError as error:
        raise NotMadeError(f"has a record that cannot be read ({of_system(error)})") from None
    except (ValueError, RecursionError):
        raise NotMadeError("has a record that is not whole") from None


@lru_cache(maxsize=1024)
def _record_at(path: Path, size: int, time_ns: int) -> Record:
    record = json.loads(path.read_bytes())
    _RECORD.validate_python(record)
    if not is_as_sealed(record):
        raise NotMadeError("has a record that was changed since it was written")
    return cast(Record, record)


_RECORD = TypeAdapter(Record)


def record_of(folder: Path) -> Record:
    """The record of a stage folder that is made.

    Raises:
        SafetuneError: the folder has no record, or one that cannot be believed.
    """
    try:
        return _record(folder)
    except NotMadeError as fault:
        raise SafetuneError(f"{folder} {fault}: run its study again, and the stage is made anew") from None


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
        SafetuneError: the store cannot be written to: the disk is full, for instance.
        BaseException: what else ``make`` raises. It is recorded under ``failed/`` and raised again, and its
            folder never counts as made.
    """
    folder = stage_folder(stage=stage, label=label, inputs=inputs, store=store)
    note_use(folder)
    if is_made(folder):
        return folder
    with _told_where_unwritable(folder), _locked(folder):
        if fault := fault_of(folder):
            say(f"{stage}/{folder.name} {fault}: it is made anew", error=True)
        elif fault == "":
            return folder
        so_far = under_way(folder)
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
            with peak_memory() as peak, kept_in(so_far):
                facts = make(partial) or {}
        except BaseException as error:
            failed = folder.parent.parent / "failed" / f"{stage}-{folder.name}.json"
            what = hidden(f"{type(error).__name__}: {error}")
            with contextlib.suppress(OSError):  # what is told is the error itself, also on a full disk
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
            "written": {str(path.relative_to(partial)): _size_and_time(path) for path in files},
            "read": {path.relative_to(folder.parents[1]).as_posix(): file_hash(path) for path in reads},
        }
        for path in files:
            flush(path)
        write_json(partial / "record.json", sealed(record))
        # What may be there is never complete: a folder with a damaged file, for instance.
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
        flush(folder.parent)
        so_far.unlink(missing_ok=True)
    return folder


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        yield


@contextlib.contextmanager
def _told_where_unwritable(folder: Path) -> Iterator[None]:
    """A full disk and the like are told in one line with a mend, whichever library met it."""
    try:
        yield
    except Exception as error:
        if line := unwritable(error):
            raise SafetuneError(
                f"{folder.parent.name}/{folder.name} could not be written ({line})"
            ) from error
        raise


def under_way(folder: Path) -> Path:
    """Where a stage keeps what it has computed so far, outside of its folder, which a new try empties; its
    name stands for the same inputs.
    """
    return folder.parents[1] / "checkpoints" / f"{folder.name}.jsonl"


def _size_and_time(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_size, int(stat.st_mtime)


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
    write_text(path, json_lines(rows))


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Read records from JSON Lines, in their order.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a line is not JSON, or JSON that :mod:`safetune_utils.strict_json` refuses.
    """
    return [strict_json.parse(line) for line in path.read_text("utf-8").split("\n") if line]


def rows_of(path: Path) -> list[dict[str, Any]]:
    """The records of a stage's file of JSON Lines, in their order.

    Raises:
        SafetuneError: it is not the file that was written, see :func:`checked`.
    """
    return read_lines(checked(path))


class Stage(NamedTuple):
    """A stage folder of a store: the folder, its record where that can be believed, and what is wrong with
    it, in words that follow its name; empty where nothing is.
    """

    folder: Path
    record: Record | None
    fault: str


def stages(store: Path | None = None, *, trusting: bool = True) -> Iterator[Stage]:
    """Every stage folder of a store that holds a record, in the order of their names.

    Args:
        store: the run store, by default :func:`~safetune_utils.places.store_folder`.
        trusting: as in :func:`is_made`.
    """
    for path in sorted((store or store_folder()).glob("*/*/record.json")):
        folder = path.parent
        if not folder.name.endswith(".partial"):
            yield Stage(folder, *_looked_at(folder, trusting=trusting))


def list_records(store: Path | None = None) -> pd.DataFrame:
    """Every complete stage of a store; files of the size and time that they were written with are not read.

    Returns:
        One row a stage: ``stage``, ``folder``, ``started`` (UTC), ``seconds``, ``peak_memory_mb`` (10^6
        bytes).
    """
    found = [
        {
            "stage": record["stage"],
            "folder": folder.name,
            "started": record["started"],
            "seconds": record["seconds"],
            "peak_memory_mb": round(record["peak_memory_bytes"] / 1e6),
        }
        for folder, record, fault in stages(store)
        if record and not fault
    ]
    return pd.DataFrame(found, columns=["stage", "folder", "started", "seconds", "peak_memory_mb"])
