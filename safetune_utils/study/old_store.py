"""A run store of an older version: its stages get the names that they have now, where it is certain what they
are.

A record holds all that its stage was made from, so the new name follows from the record. What is not sure
stays as it is and is not found any more: scores, because neither the number format of a model that scored nor
all that an instrument read was written down; and what was made from a base model in a folder, because its
config and tokenizer were not.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock

from safetune_utils import places, store
from safetune_utils.machine.files import ITSELF, sealed, write_json
from safetune_utils.models.identity import ADAPTER_FILE, GGUF_SHA256
from safetune_utils.settings import Decoding, Recipe, checked, off_default
from safetune_utils.study.base import VERSIONS

# Written into a store whose stages have the names of this version.
_MARK, _NAMES = "names.json", 2
# The versions that are read, in an order in which each stage comes after those that it was made from.
_BEFORE = {"base_losses": 1, "adapters": 2, "responses": 2, "capability": 1, "reference-losses": 1}
_FORMATS = {"torch.bfloat16": "bf16", "torch.float16": "fp16", "torch.float32": "fp32"}


class _UncertainError(Exception):
    """A record does not say all that the new name needs; the text says what is left then."""


def take_over(root: Path | None = None) -> str:
    """Give the stages of an older store the names that they have now. Only the first call does anything.

    Args:
        root: the run store, by default :func:`~safetune_utils.places.store_folder`.

    Returns:
        One line that says how many stages were taken over, and how many not and of what kind; empty where
        none are of an older version.
    """
    root = root or places.store_folder()
    if not root.is_dir() or (root / _MARK).is_file():
        return ""
    with FileLock(root / f"{_MARK}.lock"):
        if (root / _MARK).is_file():
            return ""
        taken, left = _rename(root)
        (root / _MARK).write_text(json.dumps({"names": _NAMES}) + "\n", "utf-8")
    if not taken and not left:
        return ""
    others = ", ".join(f"{n} {what}" for what, n in left.items())
    return f"run store {root.name}: {taken} stages of an older version were taken over" + (
        f"; not sure enough to be taken over, and made anew where they are needed: {others}" if left else ""
    )


def _rename(root: Path) -> tuple[int, Counter[str]]:
    """Rename what can be; how many stages that were, and by kind how many others there are."""
    taken, left = 0, Counter[str]()
    adapters: dict[str, tuple[Path, str]] = {}  # by their old names: their new folders and their devices
    for stage, version in _BEFORE.items():
        for path in sorted((root / stage).glob("*/record.json")):
            if (record := _readable(path)) is None or record["inputs"].get("version") != version:
                continue
            try:
                inputs = _inputs(record, adapters)
            except _UncertainError as kind:
                left[str(kind)] += 1
                continue
            new = store.stage_folder(stage=stage, label=record["label"], inputs=inputs, store=root)
            record["inputs"] = inputs
            if "answers" in record.get("facts", {}):  # as it was called before
                record["facts"]["responses"] = record["facts"].pop("answers")
            if stage == "adapters":
                adapters[path.parent.name] = new, _device(record)
            elif "adapter" in inputs:
                record["read"] = _read(root, adapters, inputs["adapter"])
            write_json(path, sealed(record) if ITSELF in record else record)
            if not new.exists():
                path.parent.rename(new)
            taken += 1
    scores = filter(None, map(_readable, (root / "scores").glob("*/record.json")))
    if n := sum(record["inputs"].get("version") != VERSIONS["scores"] for record in scores):
        left["scores"] += n
    return taken, left


def _readable(path: Path) -> store.Record | None:
    """The record in a file, whatever folder it is in; ``None`` where it counts as not made in any version."""
    if path.parent.name.endswith(".partial"):
        return None
    try:
        return store.parse_record(path)
    except store.NotMadeError:
        return None


def _inputs(record: Mapping[str, Any], adapters: Mapping[str, tuple[Path, str]]) -> dict[str, Any]:
    """What a stage was made from, as this version says it."""
    new = dict(record["inputs"]) | {"version": VERSIONS[record["stage"]]}
    if "base_model" in new:
        new["base_model"] = _identity(new["base_model"])
        new["arithmetic"] = f"{_device(record)}-{_FORMATS[new.pop('precision')]}"
        if new["quantization"] == "none":
            del new["quantization"]
    if "recipe" in new:
        new["recipe"] = off_default(checked(Recipe, new["recipe"]))
    if "decoding" in new:
        new["decoding"] = off_default(checked(Decoding, new["decoding"]))
    if "adapter" in new:
        if new["adapter"] not in adapters:
            raise _UncertainError(f"{record['stage']} of adapters that are not there")
        adapter, device = adapters[new["adapter"]]
        if device != _device(record):
            raise _UncertainError(f"{record['stage']} made on another device than their adapter")
        new["adapter"] = store.key_in(adapter)
    if new.get("limit", 0) is None:
        del new["limit"]
    return new


def _identity(before: Mapping[str, str]) -> str:
    if before.get("gguf_sha256") == GGUF_SHA256:
        return f"gguf:{GGUF_SHA256}, conversion {before['conversion']}"
    if before.get("commit", "unknown") != "unknown":
        return f"commit:{before['commit']}"
    raise _UncertainError("made from a base model in a folder")


def _device(record: Mapping[str, Any]) -> str:
    """What an older version computed on: a GPU wherever it saw one."""
    return "cpu" if record["machine"]["accelerator"] == "none" else "cuda"


def _read(root: Path, adapters: Mapping[str, tuple[Path, str]], key: str) -> dict[str, str]:
    (folder,) = (new for new, _ in adapters.values() if store.key_in(new) == key)
    path = folder / ADAPTER_FILE
    return {path.relative_to(root).as_posix(): store.file_hash(path)} if path.is_file() else {}
