"""The parameter tables of the re-run page, made from the schema and the presets."""

from __future__ import annotations

import json

from pydantic import BaseModel

from safetune_utils.presets import PRESETS, resolve
from safetune_utils.settings import Decoding, Mixing, Recipe, Settings


def parameter_tables() -> str:
    """The schema as tables: name, the pocket value, what it is."""
    blocks = []
    tables: dict[str, type[BaseModel]] = {
        "Parameters of a study": Settings,
        "Entries of `recipe`": Recipe,
        "Entries of `mixing`": Mixing,
        "Entries of `decoding`": Decoding,
    }
    for title, schema in tables.items():
        rows = [
            f"| `{name}` | {_default(schema, name)} | {field.description} |"
            for name, field in schema.model_fields.items()
        ]
        blocks.append(
            "\n".join([f"**{title}**", "", "| name | pocket | what it is |", "|---|---|---|", *rows])
        )
    return "\n\n".join(blocks) + "\n"


def _default(schema: type[BaseModel], name: str) -> str:
    value = getattr(schema(), name)
    return "see below" if isinstance(value, (Recipe, Mixing, Decoding)) else f"`{json.dumps(value)}`"


def preset_table() -> str:
    """What each preset stands for, as one table."""
    resolved = {name: resolve(preset=name) for name in PRESETS}
    lines = [f"| | {' | '.join(resolved)} |", f"|---|{'---|' * len(resolved)}"]
    for name in Settings.model_fields:
        if name not in ("preset", "recipe", "mixing", "decoding"):
            lines.append(
                f"| `{name}` | " + " | ".join(json.dumps(getattr(s, name)) for s in resolved.values()) + " |"
            )
    for group in ("recipe", "mixing", "decoding"):
        for name in type(getattr(resolved["pocket"], group)).model_fields:
            values = [json.dumps(getattr(getattr(s, group), name)) for s in resolved.values()]
            lines.append(f"| `{group}.{name}` | " + " | ".join(values) + " |")
    return "\n".join(lines) + "\n"
