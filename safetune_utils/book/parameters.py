"""A notebook's parameters: which it has, whether given values are right, and which of them name files."""

from __future__ import annotations

import ast
import difflib
import json
from pathlib import Path
from typing import Any

import papermill

from safetune_utils.annotation.drafting import Drafting, resolve_drafting
from safetune_utils.errors import SafetuneError
from safetune_utils.places import data_folder
from safetune_utils.presets import resolve
from safetune_utils.scoring.train import ScorerTraining, resolve_scorer_training
from safetune_utils.settings import Settings


def folder() -> Path:
    """The repository's ``notebooks/`` folder."""
    return data_folder().parent / "notebooks"


def find(name: str) -> Path:
    """A notebook by its path, file name, or the start of its name (``01``).

    Raises:
        SafetuneError: there is none, or more than one.
    """
    path = Path(name)
    if path.suffix == ".ipynb" and path.is_file():
        return path
    known = sorted(folder().glob("*.ipynb"))
    matches = [p for p in known if p.stem == path.stem] or [p for p in known if p.stem.startswith(path.stem)]
    if len(matches) != 1:
        raise SafetuneError(
            f"notebook '{name}' {'fits several' if matches else 'is not there'}: choose from {', '.join(p.stem for p in known)}"
        )
    return matches[0]


def parameters(path: Path) -> dict[str, dict[str, str]]:
    """A notebook's parameters as papermill reads them: name, default, type and the comment beside it."""
    return papermill.inspect_notebook(str(path))


def defaults(path: Path) -> dict[str, Any]:
    """The defaults in a notebook's parameters cell, as Python values."""
    return {name: ast.literal_eval(entry["default"]) for name, entry in parameters(path).items()}


def validate(path: Path, given: dict[str, Any]) -> Settings | Drafting | ScorerTraining:
    """The settings that a notebook will run with; checked before a kernel starts.

    A notebook whose parameters are those of drafting, or of training a scorer, is checked as such, any other
    as a study.

    papermill itself only warns of an unknown parameter and checks no type.

    Raises:
        SafetuneError: an unknown parameter, a wrong type or a value out of range.
    """
    known = defaults(path)
    for name in given:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            mend = f"did you mean '{close[0]}'?" if close else f"it has {', '.join(known)}"
            raise SafetuneError(f"{path.stem} has no parameter '{name}': {mend}")
    merged = known | given
    if set(known) <= set(Drafting.model_fields):
        return resolve_drafting(**merged)
    if set(known) <= set(ScorerTraining.model_fields):
        return resolve_scorer_training(**merged)
    return resolve(**{name: value for name, value in merged.items() if name in Settings.model_fields})


def own_part(path: Path, given: dict[str, Any]) -> dict[str, Any]:
    """Those of the given parameters that a notebook has; the rest of a book's parameters concern other
    notebooks.
    """
    known = defaults(path)
    return {name: value for name, value in given.items() if name in known}


def with_whole_paths(given: dict[str, Any]) -> dict[str, Any]:
    """The parameters with each file or folder that is there named from the root: a notebook runs in a folder
    of its own.
    """

    def whole(value: Any) -> Any:
        if isinstance(value, list):
            return [whole(one) for one in value]
        if not isinstance(value, str) or value in _SOURCES:
            return value
        there = Path(value).expanduser()
        return str(there.resolve()) if there.exists() else value

    return {name: whole(value) if name in _MAY_NAME_FILES else value for name, value in given.items()}


# Parameters that may name a file or folder, and the words in their place that never do.
_MAY_NAME_FILES = (
    "data",
    "general_data",
    "safety_data",
    "base_model",
    "questions",
    "reviews",
    "form_reviews",
)
_SOURCES = ("embedded", "paper", "paper-sample")


def named_files(settings: Settings | Drafting | ScorerTraining) -> list[str]:
    """Parameters that may name a user's own file or folder."""
    if isinstance(settings, Drafting):
        return [settings.questions, *(settings.reviews or []), *(settings.form_reviews or [])]
    if isinstance(settings, ScorerTraining):
        return []
    return [
        name
        for name in (settings.data, settings.general_data, settings.safety_data, settings.base_model)
        if name
    ]


def parse_value(text: str) -> Any:
    """A parameter's value from the command line: JSON where it is JSON, else the text itself."""
    lowered = text.strip()
    if lowered in ("None", "null"):
        return None
    try:
        return json.loads(lowered)
    except json.JSONDecodeError:
        return text
