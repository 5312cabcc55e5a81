"""Damage to a run store, and what of a store is the same however often it was stopped or made anew; for the
tests and for `make faults`.
"""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from safetune_utils import places
from safetune_utils.study import responses, stages
from safetune_utils.study.mixes import base_losses_folder
from safetune_utils.study.plan import plan
from safetune_utils.study.run import run
from safetune_utils.study.side_effects import side_effect_folder
from safetune_utils.study.study import Study

# What of a record may differ between two runs, and what of its facts.
_TIMES = {"started", "seconds", "peak_memory_bytes", "written", "machine", "itself"}
_SPEEDS = {"tokens_per_second"}


def content_of(root: Path) -> dict[str, Any]:
    """What the files of a store say, by their paths: their bytes, and of a record all but times, memory and
    machine. Locks, the notes on failures, the mark of a store that was looked through for old names, and
    executed notebooks, which hold times, are left out.
    """
    return {
        path.relative_to(root).as_posix(): _told(path)
        for path in sorted(root.rglob("*"))
        if path.is_file()
        and path.suffix != ".lock"
        and path.name != "names.json"
        and path.relative_to(root).parts[0] not in ("failed", "notebooks")
    }


def _told(path: Path) -> Any:
    if path.name != "record.json":
        return path.read_bytes()
    record = json.loads(path.read_text("utf-8"))
    record["facts"] = {name: value for name, value in record["facts"].items() if name not in _SPEEDS}
    return {name: value for name, value in record.items() if name not in _TIMES}


def flip(path: Path) -> None:
    """Change one bit in the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def swap(path: Path) -> None:
    """Put another stage's file of the same kind in its place; where there is none, another file."""
    others = [one for one in sorted(path.parents[2].glob("*/*/*")) if one.parent != path.parent]
    alike = [one for one in others if one.suffix == path.suffix and one.is_file()]
    shutil.copy((alike or [one for one in others if one.suffix == ".json"])[0], path)


HARMS: dict[str, Callable[[Path], None]] = {
    "flipped": flip,
    "cut": cut,
    "emptied": empty,
    "swapped": swap,
    "removed": Path.unlink,
}


def read_all(study: Study) -> list[object]:
    """All that a study gives: its responses and its losses."""
    return [run(study).to_dict("records"), responses.losses(study).to_dict("records")]


def damaged_one_by_one(study: Study, *, every: bool) -> Iterator[tuple[str, str, list[str]]]:
    """Damage each file of a study that is made, have it made again, and see what is wrong then.

    Args:
        study: one with an adapter for each run.
        every: whether each file is damaged in every way; else in one, each way in turn.

    Yields:
        The stage, the way, and the faults: the study gives something else, a file is another, or the damage
        is not told in one line that names the stage.
    """
    before, root = read_all(study), places.store_folder()
    whole = content_of(root)
    paths = [path for path in sorted(root.glob("*/*/*")) if path.is_file() and path.suffix != ".lock"]
    for number, path in enumerate(paths):
        for harm in HARMS if every else [list(HARMS)[number % len(HARMS)]]:
            HARMS[harm](path)
            said = io.StringIO()
            with contextlib.redirect_stderr(said):
                plan(study)
                same = read_all(study) == before
                _make_the_rest(study)
            told = [line for line in said.getvalue().splitlines() if "made anew" in line]
            name = f"{path.parent.parent.name}/{path.parent.name} "
            now = content_of(root)
            other = [one for one in whole.keys() | now.keys() if whole.get(one) != now.get(one)]
            faults = [] if same else [f"{path.name} {harm}: the study gives something else"]
            faults += [f"{path.name} {harm}: {one} is another" for one in other]
            if len(told) != 1 or not told[0].startswith(name):
                faults.append(f"{path.name} {harm}: told as {told}")
            yield path.parent.parent.name, harm, faults


def _make_the_rest(study: Study) -> None:
    """Make the stages that a study does not look at once what is made from them is there."""
    if study.settings.mixing.choice == "hardest":
        base_losses_folder(study)
    for one in study.runs:
        stages.adapter_folder(study, one)
        stages.mix_folder(study, one)
        for name in study.side_effects:
            side_effect_folder(study, one, name)
