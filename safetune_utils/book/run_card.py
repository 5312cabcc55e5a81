"""How a page was run, in short: what differs from the preset, the command to run it again, what it needs."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import annotated_types
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from safetune_utils.book import provenance
from safetune_utils.book.markup import Code, block, paragraph, table
from safetune_utils.book.parameters import SCHEMAS, Given
from safetune_utils.presets import resolve


def card(executed: Path) -> str:
    """The parameters that differ from the preset, and the command, as Markdown; a line that says so where a
    copy has no record.
    """
    record = provenance.provenance(executed)
    if record is None:
        return provenance.NO_RECORD
    rows = list(_differing(record["schema"], record["settings"]))
    preset = record["settings"].get("preset")
    usual = f"those of the preset {preset}" if preset else "as they stand in the notebook"
    shown = (
        table(("parameter", "type", "range", "this page", "the paper"), rows, kind="safetune-card")
        if rows
        else paragraph(f"All parameters are {usual}.")
    )
    line = command(executed.stem, record["made_from"]["parameters"])
    return (
        f"**What differs from {'the preset ' + preset if preset else 'the defaults'}**\n\n{block(shown)}\n\n"
        f"**The command that gives this page's numbers**\n\n```bash\n{line}\n```"
    )


def command(notebook: str, given: Given) -> str:
    """The line for a terminal that runs a notebook with these parameters."""
    words = ["safetune", "run", notebook.split("_")[0]]
    for name, value in given.items():
        if name == "preset":
            words += ["--preset", str(value)]
        else:
            words += ["-p", name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)]
    return shlex.join(words)


def needs(record: provenance.PageRecord) -> dict[str, str]:
    """What a run takes, as its record tells: minutes and memory, with the adapters that it used."""
    adapters = record["adapters"].values()
    seconds = record["seconds"] + sum(adapter["seconds"] for adapter in adapters)
    memory = max([record["peak_memory_bytes"], *(adapter["peak_memory_bytes"] for adapter in adapters)])
    accelerator = record["machine"]["accelerator"]
    return {
        "to run here": f"{math.ceil(seconds / 60)} min",
        "of memory": f"{memory / 1e9:.1f} GB",
        "needed": "no GPU" if accelerator == "none" else str(accelerator),
    }


def _differing(schema: str, settings: Mapping[str, Any]) -> Iterator[tuple[Any, ...]]:
    """A row for each parameter that is not as the preset, or the schema's default, has it."""
    holder = SCHEMAS[schema].holder
    usual: BaseModel = holder()
    paper: dict[str, Any] = {}
    if "preset" in settings:
        usual = resolve(preset=settings["preset"])
        paper = dict(_flat(resolve(preset="paper").model_dump()))
    before = dict(_flat(usual.model_dump()))
    for name, value in _flat(dict(settings)):
        if name == "preset" or value == before.get(name):
            continue
        field = _field(holder, name)
        yield (
            Code(name),
            _type_of(field.annotation) if field else "",
            _range_of(field) if field else "",
            Code(json.dumps(value, ensure_ascii=False)),
            Code(json.dumps(paper[name], ensure_ascii=False)) if name in paper else "",
        )


def _flat(settings: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, dict) and name in ("recipe", "mixing", "decoding", "reading"):
            yield from ((f"{name}.{part}", one) for part, one in value.items())
        else:
            yield name, value


def _field(holder: type[BaseModel], name: str) -> FieldInfo | None:
    group, _, part = name.rpartition(".")
    if group:
        kind = holder.model_fields[group].annotation
        holder = next(
            one for one in (kind, *get_args(kind)) if isinstance(one, type) and issubclass(one, BaseModel)
        )
    return holder.model_fields.get(part)


def _type_of(annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        return "text"
    if get_origin(annotation) is not None:
        kinds = [_type_of(one) for one in get_args(annotation) if one is not type(None)]
        return (
            f"list of {kinds[0]}s"
            if get_origin(annotation) is list
            else " or ".join(dict.fromkeys(filter(None, kinds)))
        )
    return {int: "whole number", float: "number", str: "text", bool: "true or false", dict: "by name"}.get(
        annotation, getattr(annotation, "__name__", "")
    )


def _range_of(field: FieldInfo) -> str:
    """The limits of a number, or the words that there are."""
    if get_origin(field.annotation) is Literal:
        return ", ".join(map(str, get_args(field.annotation)))
    said = []
    for limit in field.metadata:
        said += [f"from {limit.ge:g}"] if isinstance(limit, annotated_types.Ge) else []
        said += [f"above {limit.gt:g}"] if isinstance(limit, annotated_types.Gt) else []
        said += [f"to {limit.le:g}"] if isinstance(limit, annotated_types.Le) else []
        said += [f"below {limit.lt:g}"] if isinstance(limit, annotated_types.Lt) else []
    return " ".join(said)
