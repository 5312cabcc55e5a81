"""Whether an executed notebook is fresh: what it depends on, and what changed since."""

from __future__ import annotations

from pathlib import Path
from typing import TypedDict

from safetune_utils import store
from safetune_utils.annotation.drafting import Drafting
from safetune_utils.book.parameters import Given, named_files, validate, with_whole_paths
from safetune_utils.book.provenance import MadeFrom, provenance
from safetune_utils.places import data_folder


def changes(path: Path, executed: Path) -> list[str]:
    """What changed since a notebook was executed: the notebook, files of the package, files of data; empty
    for a fresh copy.
    """
    record = provenance(executed)
    if record is None:
        return ["all of it, perhaps: this copy holds no record of how it was executed"]
    made, now = record["made_from"], inputs(path, record["made_from"]["parameters"])
    changed = ["the notebook"] if made["notebook"] != now["notebook"] else []
    for before, after in ((made["code"], now["code"]), (made["files"], now["files"])):
        changed += [name for name in sorted({*before, *after}) if before.get(name) != after.get(name)]
    return changed


class _Stage(TypedDict):
    stage: str
    label: str
    inputs: store.Facts


def is_fresh(path: Path, *, given: Given) -> bool:
    """Whether the executed copy is there and nothing that it depends on has changed."""
    return store.is_made(store.stage_folder(**stage_of(path, given)))


def stage_of(path: Path, given: Given) -> _Stage:
    """Name and inputs of the stage that holds a notebook's executed copy."""
    settings = validate(path, given)
    label = path.stem if isinstance(settings, Drafting) else f"{path.stem}-{settings.preset}"
    return {"stage": "notebooks", "label": label, "inputs": dict(inputs(path, given))}


def inputs(path: Path, given: Given) -> MadeFrom:
    """What an executed copy depends on, as it is now."""
    given = with_whole_paths(given)
    settings = validate(path, given)
    package = Path(__file__).resolve().parents[1]
    code = {
        str(p.relative_to(package)): store.file_hash(p)
        for p in sorted(package.rglob("*"))
        if p.suffix in (".py", ".html")
    }
    code = {name: digest for name, digest in code.items() if not name.startswith(_NOT_COMPUTING)}
    # Outside sets are in here too: the register holds their hashes.
    used = sorted(p for p in data_folder().rglob("*") if p.suffix in (".json", ".jsonl", ".yml"))
    used = [
        p
        for p in used
        if not p.is_relative_to(data_folder() / "results" / "published")
        and p != data_folder() / "paper" / "claims.yml"
    ]
    for name in named_files(settings):
        source = Path(name).expanduser()
        if source.is_dir():
            used += sorted(p for p in source.iterdir() if p.is_file() and not p.name.startswith("."))
        elif source.is_file():
            used.append(source)
    root = data_folder().parent
    files = {str(p.relative_to(root) if p.is_relative_to(root) else p): store.file_hash(p) for p in used}
    return {"notebook": store.file_hash(path), "parameters": given, "code": code, "files": files}


# Drawing the site and comparing runs are not part of what a notebook computes.
_NOT_COMPUTING = (
    "cli",
    "book/site.py",
    "book/checks.py",
    "book/value_role.py",
    "book/outputs.py",
    "book/generated/data_cards.py",
    "book/findings.py",
    "book/verdicts.py",
    "book/provenance.py",
    "book/compare.py",
)
