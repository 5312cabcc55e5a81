"""Run notebooks with papermill, after checking their parameters against the one schema."""

from __future__ import annotations

import ast
import contextlib
import difflib
import json
import logging
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import papermill
import psutil

from safetune_utils import records
from safetune_utils.data import data_folder
from safetune_utils.errors import SafetuneError
from safetune_utils.settings import Drafting, ScorerTraining, Settings, resolve, resolve_drafting, resolve_scorer_training


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
        raise SafetuneError(f"notebook '{name}' {'fits several' if matches else 'is not there'}: choose from {', '.join(p.stem for p in known)}")
    return matches[0]


def parameters(path: Path) -> dict[str, dict[str, str]]:
    """A notebook's parameters as papermill reads them: name, default, type and the comment beside it."""
    return papermill.inspect_notebook(str(path))


def defaults(path: Path) -> dict[str, Any]:
    """The defaults in a notebook's parameters cell, as Python values."""
    return {name: ast.literal_eval(entry["default"]) for name, entry in parameters(path).items()}


def validate(path: Path, given: dict[str, Any]) -> Settings | Drafting | ScorerTraining:
    """The settings that a notebook will run with; checked before a kernel starts.

    A notebook whose parameters are those of drafting, or of training a scorer, is checked as such, any other as a study.

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
    """Those of the given parameters that a notebook has; the rest of a book's parameters concern other notebooks."""
    known = defaults(path)
    return {name: value for name, value in given.items() if name in known}


def with_whole_paths(given: dict[str, Any]) -> dict[str, Any]:
    """The parameters with each file or folder that is there named from the root: a notebook runs in a folder of its own."""

    def whole(value: Any) -> Any:
        if isinstance(value, list):
            return [whole(one) for one in value]
        if not isinstance(value, str) or value in _SOURCES:
            return value
        there = Path(value).expanduser()
        return str(there.resolve()) if there.exists() else value

    return {name: whole(value) if name in _MAY_NAME_FILES else value for name, value in given.items()}


# Parameters that may name a file or folder, and the words in their place that never do.
_MAY_NAME_FILES = ("data", "general_data", "safety_data", "base_model", "questions", "reviews", "form_reviews")
_SOURCES = ("embedded", "paper", "paper-sample")


def execute(path: Path, *, given: dict[str, Any], output: Path) -> None:
    """Run a notebook with papermill and write the executed copy, which holds the record of how it came to be (:func:`provenance`).

    Progress goes to standard error. If a cell fails, the copy with the error is written beside ``output`` as
    ``….failed.ipynb``, and ``output`` is not touched.

    Raises:
        SafetuneError: a parameter is wrong (before anything runs), or a cell failed.
    """
    given = with_whole_paths(given)
    settings = validate(path, given)
    # Taken before it runs: what is changed while it runs makes the page stale.
    record = {"notebook": path.stem, "settings": settings.model_dump(), "made_from": inputs(path, given), "started": records.now()}
    for variable in ("SAFETUNE_STORE", "SAFETUNE_DATA", "SAFETUNE_CACHE", "SAFETUNE_MIRROR"):
        if os.environ.get(variable):
            os.environ[variable] = str(Path(os.environ[variable]).expanduser().resolve())
    output.parent.mkdir(parents=True, exist_ok=True)
    partial = output.with_suffix(".partial.ipynb")
    _log_to_stderr()
    clock = time.perf_counter()
    try:
        with _stages_used() as stages, _peak_of_children() as peak:
            papermill.execute_notebook(
                str(path), str(partial), parameters=given, kernel_name="python3", cwd=str(path.parent),
                progress_bar=False, log_output=True, request_save_on_cell_execute=False,
            )  # fmt: skip
    except papermill.PapermillExecutionError as error:
        failed = output.with_suffix(".failed.ipynb")
        partial.replace(failed)
        raise SafetuneError(f"{path.stem}, cell {error.exec_count}: {error.ename}: {error.evalue} (the executed copy with the error: {failed})") from None
    faults = output_faults(partial)
    if faults:
        raise SafetuneError(f"{path.stem}: {faults[0]} (the executed copy: {partial})")
    record |= {"seconds": round(time.perf_counter() - clock, 1), "peak_memory_bytes": peak["bytes"]} | records.surroundings()
    record["adapters"] = {folder.name: records.read_record(folder) for folder in stages if folder.parent.name == "adapters"}
    notebook = nbformat.read(partial, as_version=4)
    notebook.metadata["safetune"] = record
    nbformat.write(notebook, partial)
    partial.replace(output)


def provenance(executed: Path) -> dict[str, Any] | None:
    """How an executed notebook came to be, or ``None`` where it was not run by :func:`execute`.

    ``notebook, settings``; ``made_from`` (as :func:`inputs` gives it); ``started, seconds, peak_memory_bytes`` of all its
    processes added up; ``code`` (commit), ``versions, machine``; ``adapters``, the run record of each by name.
    """
    return nbformat.read(executed, as_version=4).metadata.get("safetune")


def changes(path: Path, executed: Path) -> list[str]:
    """What changed since a notebook was executed: the notebook, files of the package, files of data; empty for a fresh copy."""
    record = provenance(executed)
    if record is None:
        return ["all of it, perhaps: this copy holds no record of how it was executed"]
    made, now = record["made_from"], inputs(path, record["made_from"]["parameters"])
    changed = ["the notebook"] if made["notebook"] != now["notebook"] else []
    return changed + [name for kind in ("code", "files") for name in sorted({*made[kind], *now[kind]}) if made[kind].get(name) != now[kind].get(name)]


def output_faults(path: Path) -> list[str]:
    """What must not stand in an executed notebook: error outputs, cells that did not run, out of order."""
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code" and cell.source.strip()]
    faults = [f"cell {n} has an error output" for n, cell in enumerate(cells, 1) if any(o.output_type == "error" for o in cell.outputs)]
    counts = [cell.execution_count for cell in cells]
    if counts != list(range(1, len(cells) + 1)):
        faults.append(f"cells did not run once each from top to bottom: {counts}")
    return faults


def executed(path: Path, *, given: dict[str, Any]) -> Path:
    """The executed copy of a notebook, made only if the notebook, the package, the data or the parameters changed."""
    stage = _stage(path, given)

    def make(target: Path) -> dict[str, Any]:
        execute(path, given=given, output=target / path.name)
        return {"parameters": given}

    return records.produce(**stage, make=make) / path.name


def is_fresh(path: Path, *, given: dict[str, Any]) -> bool:
    """Whether the executed copy is there and nothing that it depends on has changed."""
    return records.is_made(records.stage_folder(**_stage(path, given)))


def _stage(path: Path, given: dict[str, Any]) -> dict[str, Any]:
    """Name and inputs of the stage that holds a notebook's executed copy."""
    settings = validate(path, given)
    label = path.stem if isinstance(settings, Drafting) else f"{path.stem}-{settings.preset}"
    return {"stage": "notebooks", "label": label, "inputs": inputs(path, given)}


def inputs(path: Path, given: dict[str, Any]) -> dict[str, Any]:
    """What an executed copy depends on: ``parameters``, and the hashes of the ``notebook``, of the package's ``code`` and of data ``files``."""
    given = with_whole_paths(given)
    settings = validate(path, given)
    package = Path(__file__).resolve().parent
    code = {str(p.relative_to(package)): records.file_hash(p) for p in sorted(package.rglob("*")) if p.suffix in (".py", ".html")}
    for unused in _NOT_COMPUTING:
        code.pop(unused, None)
    # Outside sets are in here too: the register holds their hashes.
    used = sorted(p for p in data_folder().rglob("*") if p.suffix in (".json", ".jsonl", ".yml"))
    used = [p for p in used if not p.is_relative_to(data_folder() / "results" / "published") and p != data_folder() / "paper" / "claims.yml"]
    for name in _named_files(settings):
        source = Path(name).expanduser()
        if source.is_dir():
            used += sorted(p for p in source.iterdir() if p.is_file() and not p.name.startswith("."))
        elif source.is_file():
            used.append(source)
    root = data_folder().parent
    files = {str(p.relative_to(root) if p.is_relative_to(root) else p): records.file_hash(p) for p in used}
    return {"notebook": records.file_hash(path), "parameters": given, "code": code, "files": files}


# Drawing the site and comparing runs are not part of what a notebook computes.
_NOT_COMPUTING = ("cli.py", "site.py", "datacards.py", "outcomes.py", "verdicts.py", "provenance.py", "compare.py")


@contextlib.contextmanager
def _stages_used() -> Iterator[list[Path]]:
    """The stages of the run store that the kernel and its processes say they rest on, each once; filled when the block ends."""
    found: list[Path] = []
    with tempfile.TemporaryDirectory() as folder:
        notes = Path(folder) / "used"
        notes.touch()
        before, os.environ["SAFETUNE_USED"] = os.environ.get("SAFETUNE_USED"), str(notes)
        try:
            yield found
        finally:
            os.environ.pop("SAFETUNE_USED")
            if before is not None:
                os.environ["SAFETUNE_USED"] = before
        found += sorted({Path(line) for line in notes.read_text("utf-8").splitlines()})


@contextlib.contextmanager
def _peak_of_children() -> Iterator[dict[str, int]]:
    """The highest memory of this process's children, all added up, in bytes; looked at twice a second."""
    peak, done = {"bytes": 0}, threading.Event()

    def watch() -> None:
        while not done.wait(0.5):
            resident = 0
            for child in psutil.Process().children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    resident += child.memory_info().rss
            peak["bytes"] = max(peak["bytes"], resident)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield peak
    finally:
        done.set()
        watcher.join()


def _named_files(settings: Settings | Drafting | ScorerTraining) -> list[str]:
    """Parameters that may name a user's own file or folder."""
    if isinstance(settings, Drafting):
        return [settings.questions, *(settings.reviews or []), *(settings.form_reviews or [])]
    if isinstance(settings, ScorerTraining):
        return []
    return [name for name in (settings.data, settings.general_data, settings.safety_data, settings.base_model) if name]


def _log_to_stderr() -> None:
    """Let the progress lines of a running notebook reach the terminal."""
    logger = logging.getLogger("papermill")
    if not logger.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(message)s"))
        logger.addHandler(handler)
        logger.propagate = False
    logger.setLevel(logging.INFO)


def parse_value(text: str) -> Any:
    """A parameter's value from the command line: JSON where it is JSON, else the text itself."""
    lowered = text.strip()
    if lowered in ("None", "null"):
        return None
    try:
        return json.loads(lowered)
    except json.JSONDecodeError:
        return text
