"""Whether an executed notebook is fresh: what it was made from, and what changed since.

That is the notebook, its parameters, the code that it imports, the files that the parameters name, and the
files of ``data`` that it read when it ran.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TypedDict

from safetune_utils import store
from safetune_utils.annotation.drafting import Drafting
from safetune_utils.book.imports import code_of
from safetune_utils.book.parameters import Given, named_files, validate, with_whole_paths
from safetune_utils.book.provenance import MadeFrom, provenance
from safetune_utils.machine.opened import NOTES, noted
from safetune_utils.places import data_folder


def changes(path: Path, executed: Path) -> list[str]:
    """What changed since a notebook was executed: the notebook, code that it imports, files that it read;
    empty for a fresh copy.
    """
    record = provenance(executed)
    if record is None:
        return ["all of it, perhaps: this copy holds no record of how it was executed"]
    made, now = record["made_from"], inputs(path, record["made_from"]["parameters"])
    changed = ["the notebook"] if made["notebook"] != now["notebook"] else []
    read = {name: _hash_now(name) for name in made["files"]} | now["files"]
    for before, after in ((made["code"], now["code"]), (made["files"], read)):
        changed += [name for name in sorted({*before, *after}) if before.get(name) != after.get(name)]
    return changed


class _Stage(TypedDict):
    stage: str
    label: str
    inputs: store.Facts


def is_fresh(path: Path, *, given: Given) -> bool:
    """Whether the executed copy is there and nothing that it was made from has changed."""
    folder = store.stage_folder(**stage_of(path, given))
    return store.is_made(folder) and not changes(path, folder / path.name)


def stage_of(path: Path, given: Given) -> _Stage:
    """Name and inputs of the stage that holds a notebook's executed copy."""
    settings = validate(path, given)
    label = path.stem if isinstance(settings, Drafting) else f"{path.stem}-{settings.preset}"
    return {"stage": "notebooks", "label": label, "inputs": dict(inputs(path, given))}


def inputs(path: Path, given: Given) -> MadeFrom:
    """What an executed copy is made from, as it is now, as far as that is known before it runs: of files,
    those that the parameters name.
    """
    given = with_whole_paths(given)
    package = Path(__file__).resolve().parents[1]
    used: list[Path] = []
    for name in named_files(validate(path, given)):
        source = Path(name).expanduser()
        if source.is_dir():
            used += sorted(p for p in source.iterdir() if p.is_file() and not p.name.startswith("."))
        elif source.is_file():
            used.append(source)
    return {
        "notebook": store.file_hash(path),
        "parameters": given,
        "code": {str(p.relative_to(package)): store.known_hash(p) for p in code_of(path)},
        "files": {_shown(p): store.known_hash(p) for p in used},
    }


@contextlib.contextmanager
def files_read() -> Iterator[dict[str, str]]:
    """The files of ``data`` that processes started in the block read, with the hashes that they had when it
    began; filled when it ends.
    """
    found: dict[str, str] = {}
    before = {p.resolve(): store.known_hash(p) for p in data_folder().rglob("*") if p.is_file()}
    with noted(NOTES) as read:
        yield found
    # Outside sets are in here too: the register holds their hashes.
    found |= {_shown(path): before[path] for path in sorted(read & before.keys())}


def _shown(path: Path) -> str:
    """A file as a record names it: in the repository, from its root."""
    path, root = path.resolve(), data_folder().resolve().parent
    return str(path.relative_to(root) if path.is_relative_to(root) else path)


def _hash_now(name: str) -> str | None:
    path = data_folder().resolve().parent / name  # an absolute name stays what it is
    return store.known_hash(path) if path.is_file() else None
