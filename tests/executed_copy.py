"""An executed copy of a chapter, made by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest

from safetune_utils import statistics, store
from safetune_utils.book import figures, freshness, parameters, prose, tables
from safetune_utils.machine import surroundings
from safetune_utils.places import data_folder
from safetune_utils.scoring import instruments

SECRET = "a prompt of theirs"


def executed(folder: Path, source: Path, *, malicious: statistics.Estimate, recorded: bool = True) -> Path:
    """An executed copy of chapter 1: one figure, one table, one recorded share, one finding, one print."""
    shown = [
        *recording(
            malicious_last=malicious,
            malicious_first="none",
            first=0,
            last=9,
            run_by="someone",
            claim_follows_usefully_without_safety=malicious,
        ),
        _figure(),
        displayed({"text/html": tables.table([("a", 1)], caption="numbers").data}),
        nbformat.v4.new_output("stream", name="stdout", text=SECRET),
    ]
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_markdown_cell("# T"), nbformat.v4.new_code_cell("1", outputs=shown)]
    )
    notebook.metadata["language_info"] = {"name": "python"}
    if recorded:
        notebook.metadata["safetune"] = _record(source)
    folder.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, folder / source.name)
    return folder / source.name


def displayed(data: dict[str, Any], metadata: dict[str, Any] | None = None) -> nbformat.NotebookNode:
    return nbformat.v4.new_output("display_data", data, metadata=metadata or {})


def _figure() -> nbformat.NotebookNode:
    figure = figures.funnel([("asked", 9), ("kept", 3)], name="steps", caption="c")
    return displayed(*figure._repr_mimebundle_())


def recording(**values: prose.Value) -> list[nbformat.NotebookNode]:
    """The output of a cell that records these values."""
    shown: list[nbformat.NotebookNode] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "IPython.display.display", lambda data, metadata, raw: shown.append(displayed(data, metadata))
        )
        prose.record(**values)
    return shown


def _made_from(source: Path) -> dict[str, Any]:
    made_from = dict(freshness.inputs(source, {"preset": "smoke"}))
    read = "data/corpus/safety.jsonl"  # as if it had run
    return made_from | {"files": {read: store.file_hash(data_folder().parent / read)}}


def _record(source: Path) -> dict[str, Any]:
    adapter = {
        "seconds": 60.0,
        "peak_memory_bytes": 2e9,
        "inputs": {"seed": 0, "base_model": "files:b"},
        "facts": {"n_safety": 5, "data": "embedded", "base_model": "b"},
    }
    return {
        "notebook": source.stem,
        "schema": parameters.schema_of(source),
        "settings": parameters.validate(source, {"preset": "smoke"}).model_dump(),
        "made_from": _made_from(source),
        "started": surroundings.now(),
        "seconds": 12.0,
        "peak_memory_bytes": 10**9,
        "adapters": {"embedded-n5-seed0-instruction-abc": adapter},
        "instruments": instruments.versions(),
    } | surroundings.surroundings()
