"""The parameter tables of the re-run page, made from the schema and the presets."""

from __future__ import annotations

import json

from pydantic import BaseModel

from safetune_utils.book.markup import Code, Text, block, table
from safetune_utils.presets import PRESETS, resolve
from safetune_utils.settings import Decoding, Mixing, Reading, Recipe, Settings


def parameter_tables() -> str:
    """The schema as tables: name, the pocket value, what it is."""
    tables: dict[str, type[BaseModel]] = {
        "Parameters of a study": Settings,
        "Entries of `recipe`": Recipe,
        "Entries of `mixing`": Mixing,
        "Entries of `decoding`": Decoding,
        "Entries of `reading`": Reading,
    }
    blocks = []
    for title, schema in tables.items():
        rows = [
            (Code(name), _default(schema, name), field.description or "")
            for name, field in schema.model_fields.items()
        ]
        blocks.append(f"**{title}**\n\n{block(table(('name', 'pocket', 'what it is'), rows, wide=True))}")
    return "\n".join(blocks)


def _default(schema: type[BaseModel], name: str) -> Text:
    value = getattr(schema(), name)
    return "see below" if isinstance(value, BaseModel) else Code(json.dumps(value))


def preset_table() -> str:
    """What each preset stands for, as one table."""
    resolved = {name: resolve(preset=name) for name in PRESETS}
    groups = ("recipe", "mixing", "decoding", "reading")
    rows = [
        (Code(name), *(json.dumps(getattr(one, name)) for one in resolved.values()))
        for name in Settings.model_fields
        if name not in ("preset", *groups)
    ]
    for group in groups:
        for name in type(getattr(resolved["pocket"], group)).model_fields:
            values = [json.dumps(getattr(getattr(one, group), name)) for one in resolved.values()]
            rows.append((Code(f"{group}.{name}"), *values))
    return block(table(["", *resolved], rows, wide=True))
