"""A notebook's parameters: which it has, whether given values are right, and which of them name files."""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from safetune_utils import strict_json
from safetune_utils.annotation.drafting import Drafting, resolve_drafting
from safetune_utils.book.notebook_file import read_notebook
from safetune_utils.errors import SafetuneError, did_you_mean, first_line
from safetune_utils.places import data_folder
from safetune_utils.presets import among, resolve
from safetune_utils.scoring.train import ScorerTraining, resolve_scorer_training
from safetune_utils.settings import Settings

# Parameters by name, as a command line, a notebook or papermill gives them.
Given = dict[str, Any]


class Schema(NamedTuple):
    """The parameters of a kind of notebook: the class that holds them, and the function that checks them."""

    holder: type[Settings | Drafting | ScorerTraining]
    resolve: Callable[..., Settings | Drafting | ScorerTraining]


# A notebook names its schema in its metadata: {"safetune": {"schema": "study"}}.
SCHEMAS = {
    "study": Schema(Settings, resolve),
    "drafting": Schema(Drafting, resolve_drafting),
    "scorer-training": Schema(ScorerTraining, resolve_scorer_training),
}


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
    if path.suffix not in ("", ".ipynb") or path.parent != Path():
        raise SafetuneError(f"notebook '{name}' is not there: give its path (*.ipynb), or a chapter's number")
    matches = [p for p in known if p.stem == path.stem] or [p for p in known if p.stem.startswith(path.stem)]
    if len(matches) != 1:
        raise SafetuneError(
            f"notebook '{name}' {'fits several' if matches else 'is not there'}: choose from"
            f" {', '.join(p.stem for p in known)}"
        )
    return matches[0]


def schema_of(path: Path) -> str:
    """The name of a notebook's schema, from its metadata: one of :data:`SCHEMAS`.

    Raises:
        SafetuneError: the notebook names none, or one that is not known.
    """
    about = read_notebook(path).metadata.get("safetune")
    name = about.get("schema") if isinstance(about, dict) else None
    if not isinstance(name, str) or name not in SCHEMAS:
        raise SafetuneError(
            f"{path.name} does not say what its parameters are: write "
            f'"safetune": {{"schema": "study"}} into its metadata (or {", ".join(list(SCHEMAS)[1:])})'
        )
    return name


def shown(path: Path) -> dict[str, dict[str, str]]:
    """The parameters in a notebook's own cell, the first with the tag ``parameters``: name, default, type
    (empty where the cell says none) and comment, each as it stands there.

    Raises:
        SafetuneError: it is no notebook, one for another language, or that cell is not Python.
    """
    notebook = read_notebook(path)
    language = _language(notebook.metadata)
    if language != "python":
        raise SafetuneError(
            f"{path} has no parameters that can be read (its language is {language or 'not said'}): give a "
            "notebook for Python, as Jupyter saves it"
        )
    tagged = (cell.source for cell in notebook.code if _is_tagged(cell.metadata))
    source = next(tagged, "")
    try:
        body = ast.parse(source).body
        words = list(tokenize.generate_tokens(io.StringIO(source).readline))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise SafetuneError(
            f"{path}: its parameters cell is not Python ({first_line(error)}): write a line such as "
            "`seeds: list[int] = [0]  # one adapter each` for each parameter"
        ) from None
    comments = {one.end[0]: one.string.lstrip("# ") for one in words if one.type == tokenize.COMMENT}
    found = {}
    for line in body:
        if not isinstance(line, ast.Assign | ast.AnnAssign) or line.value is None:
            continue
        kind = ast.unparse(line.annotation) if isinstance(line, ast.AnnAssign) else ""
        targets = [line.target] if isinstance(line, ast.AnnAssign) else line.targets
        for target in targets:
            if not isinstance(target, ast.Name):
                continue
            found[target.id] = {
                "name": target.id,
                "inferred_type_name": kind,
                "default": ast.get_source_segment(source, line.value) or "",
                "help": comments.get(line.end_lineno or 0, ""),
            }
    return found


def _is_tagged(about: dict[str, Any]) -> bool:
    tags = about.get("tags")
    return isinstance(tags, list) and "parameters" in tags


def _language(about: dict[str, Any]) -> str:
    """The language of a notebook by its metadata, in small letters; empty where that does not say it."""
    for group, name in (("kernelspec", "language"), ("language_info", "name"), ("kernelspec", "name")):
        said = about.get(group)
        if isinstance(said, dict) and isinstance(said.get(name), str):
            word = said[name].lower()
            return "python" if word.startswith("python") else word
    return ""


def defaults(path: Path) -> Given:
    """The defaults in a notebook's parameters cell, as Python values.

    Raises:
        SafetuneError: one is not a plain value.
    """
    found = {}
    for name, entry in shown(path).items():
        try:
            found[name] = ast.literal_eval(entry["default"])
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            raise SafetuneError(
                f"{path.name}: the default of '{name}' is {entry['default']}, which is not a plain value: "
                "write a number, a text, a list or None"
            ) from None
    return found


def described(path: Path) -> list[tuple[str, str, str, str]]:
    """Every parameter that a notebook takes: its name, type, default and meaning.

    First those of its parameters cell, then the others of its schema, which the cell need not show.
    """
    in_cell = shown(path)
    rows = [(name, one["inferred_type_name"], one["default"], one["help"]) for name, one in in_cell.items()]
    for name, field in SCHEMAS[schema_of(path)].holder.model_fields.items():
        if name not in in_cell:
            kind = str(field.annotation).removeprefix("<class '").removesuffix("'>").replace("typing.", "")
            rows.append((name, kind, "as the preset has it", field.description or ""))
    return rows


def known(path: Path) -> list[str]:
    """The names of every parameter that a notebook takes."""
    return list(dict.fromkeys([*shown(path), *SCHEMAS[schema_of(path)].holder.model_fields]))


def validate(path: Path, given: Given) -> Settings | Drafting | ScorerTraining:
    """The settings that a notebook will run with; checked before a kernel starts.

    papermill itself only warns of an unknown parameter and checks no type.

    Raises:
        SafetuneError: an unknown parameter, a wrong type or a value out of range.
    """
    in_cell, schema = defaults(path), SCHEMAS[schema_of(path)]
    names = list(dict.fromkeys([*in_cell, *schema.holder.model_fields]))
    for name in given:
        if name not in names:
            mend = did_you_mean(name, names, otherwise="it has")
            raise SafetuneError(f"{path.stem} has no parameter '{name}': {mend}")
    return schema.resolve(**among(in_cell | given, schema.holder))


def with_own_amounts(path: Path, settings: Settings) -> Settings:
    """The settings with those safety amounts that a notebook asks for: all of them, or the middle one alone
    where its metadata says ``"amounts": "middle"``.
    """
    if read_notebook(path).metadata["safetune"].get("amounts") != "middle":
        return settings
    amounts = settings.safety_amounts
    return settings.model_copy(update={"safety_amounts": [amounts[len(amounts) // 2]]})


def own_part(path: Path, given: Given) -> Given:
    """Those of the given parameters that a notebook takes; the rest of a book's parameters concern other
    notebooks.
    """
    names = known(path)
    return {name: value for name, value in given.items() if name in names}


def with_whole_paths(given: Given) -> Given:
    """The parameters with each file or folder that is there named from the root: a notebook runs in a folder
    of its own.
    """

    def whole(value: Any) -> Any:
        if isinstance(value, list):
            return [whole(one) for one in value]
        if isinstance(value, dict):
            return {name: whole(one) for name, one in value.items()}
        if not isinstance(value, str) or value in ("", *_SOURCES):
            return value
        there = Path(value).expanduser()
        return str(there.resolve()) if there.exists() else value

    return {name: whole(value) if name in _MAY_NAME_FILES else value for name, value in given.items()}


# Parameters that may name a file or folder, and the words in their place that never do.
_MAY_NAME_FILES = (
    "data",
    "general_data",
    "safety_data",
    "own_prompt_sets",
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
    own = [one.file for one in settings.own_prompt_sets.values()]
    others = (settings.data, settings.general_data, settings.safety_data, settings.base_model)
    return [*filter(None, others), *own]


def parse_value(text: str) -> Any:
    """A parameter's value from the command line: JSON where it is JSON, else the text itself.

    Raises:
        SafetuneError: it is JSON that is refused, see :mod:`safetune_utils.strict_json`.
    """
    lowered = text.strip()
    if lowered in ("None", "null"):
        return None
    try:
        return strict_json.parse(lowered)
    except strict_json.JsonFault as fault:
        if fault.is_syntax:
            return text
        shown = lowered if len(lowered) <= 40 else f"{lowered[:40]}…"
        raise SafetuneError(f"the value {shown!a} cannot be taken ({fault}): write it anew") from None
