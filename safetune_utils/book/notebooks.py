"""Run notebooks with papermill, after checking their parameters against the one schema."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from safetune_utils import store
from safetune_utils.book.freshness import changes, files_read, inputs, stage_of
from safetune_utils.book.launch import is_install_cell
from safetune_utils.book.notebook_file import read_notebook, whole_notebook
from safetune_utils.book.parameters import Given, schema_of, validate, with_whole_paths
from safetune_utils.errors import SafetuneError, first_line
from safetune_utils.machine import stopping, surroundings
from safetune_utils.machine.files import make_private, replacing
from safetune_utils.machine.opened import noted
from safetune_utils.secrets import scrubbed
from safetune_utils.terminal import level, say


def execute(path: Path, *, given: Given, output: Path) -> None:
    """Run a notebook with papermill and write the executed copy, which holds the record of how it came to be
    (:func:`safetune_utils.book.provenance.provenance`).

    Progress goes to standard error. If a cell fails, the copy with the error is written beside ``output`` as
    ``….failed.ipynb``, and ``output`` is not touched. Until it is finished a copy is its owner's alone to
    read, and so is a failed one; a key of the environment that a cell showed is taken out of every copy.

    Raises:
        SafetuneError: a parameter is wrong or holds a key (before anything is written), or a cell failed.
    """
    given = with_whole_paths(given)
    settings = validate(path, given)
    # Taken before it runs: what is changed while it runs makes the page stale.
    record: dict[str, Any] = {
        "schema": schema_of(path),
        "notebook": path.stem,
        "settings": settings.model_dump(),
        "made_from": inputs(path, given),
        "started": surroundings.now(),
    }
    for variable in ("SAFETUNE_STORE", "SAFETUNE_DATA", "SAFETUNE_CACHE", "SAFETUNE_MIRROR"):
        if os.environ.get(variable):
            os.environ[variable] = str(Path(os.environ[variable]).expanduser().resolve())
    output.parent.mkdir(parents=True, exist_ok=True)
    partial = output.with_suffix(".partial.ipynb")
    make_private(partial)
    installs = _write_without_install_cell(path, partial)
    _log_to_stderr()

    import nbformat
    import papermill

    from safetune_utils.book.kernel import folder_of_kernel, own_kernel
    from safetune_utils.scoring import instruments

    clock = time.perf_counter()
    try:
        with (
            noted("SAFETUNE_USED") as stages,
            files_read() as read,
            _peak_of_children() as peak,
            folder_of_kernel() as folder,
        ):
            papermill.execute_notebook(
                str(partial), str(partial), parameters=given, kernel_name="python3", cwd=str(path.parent),
                progress_bar=False, log_output=True, request_save_on_cell_execute=False,
                kernel_manager_class=own_kernel(folder),
            )  # fmt: skip
    except papermill.PapermillExecutionError as error:
        failed = output.with_suffix(".failed.ipynb")
        _scrub(partial)
        partial.replace(failed)
        said = next((line.strip() for line in error.evalue.splitlines() if line.strip()), "")
        raise SafetuneError(
            f"{path.stem}, cell {error.exec_count}: {error.ename}: {said} (the executed copy"
            f" with the error: {failed})"
        ) from None
    except KeyboardInterrupt:
        logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # it would tell the cell's end at length
        partial.unlink(missing_ok=True)
        raise
    except RuntimeError as error:  # the kernel did not start, or died
        partial.unlink(missing_ok=True)
        raise SafetuneError(
            f"{path.stem}: its kernel did not come to the end ({first_line(error)}): see whether this machine"
            " has memory enough, and run it again"
        ) from None
    _scrub(partial)
    faults = output_faults(partial)
    if faults:
        raise SafetuneError(f"{path.stem}: {faults[0]} (the executed copy: {partial})")
    record["made_from"]["files"] |= read
    record |= {"seconds": round(time.perf_counter() - clock, 1), "peak_memory_bytes": peak["bytes"]}
    record |= surroundings.surroundings()
    record["instruments"] = instruments.versions()
    record["adapters"] = {
        folder.name: store.read_record(folder)
        for folder in sorted(stages)
        if folder.parent.name == "adapters"
    }
    notebook = whole_notebook(partial)
    notebook.metadata["safetune"] = record
    for place, cell in installs:
        notebook.cells.insert(place, cell)
    with replacing(output) as finished:
        nbformat.write(notebook, finished)
    partial.unlink()


def _write_without_install_cell(path: Path, to: Path) -> list[tuple[int, Any]]:
    """Write a notebook without the cell for readers who lack the package; that cell, with its place."""
    import nbformat

    notebook = whole_notebook(path)
    cells = list(enumerate(notebook.cells))
    notebook.cells = [cell for _, cell in cells if not is_install_cell(cell.metadata)]
    nbformat.write(notebook, to)
    return [(place, cell) for place, cell in cells if is_install_cell(cell.metadata)]


def _scrub(path: Path) -> None:
    """Take every key of the environment out of a notebook's file."""
    text = path.read_text("utf-8")
    if (without := scrubbed(text)) != text:
        path.write_text(without, "utf-8")


def output_faults(path: Path) -> list[str]:
    """What must not stand in an executed notebook: error outputs, cells that did not run, out of order."""
    code = [cell for cell in read_notebook(path).code if cell.source.strip()]
    cells = [cell for cell in code if not is_install_cell(cell.metadata)]
    faults = [
        f"cell {n} has an error output"
        for n, cell in enumerate(cells, 1)
        if any(o.output_type == "error" for o in cell.outputs)
    ]
    counts = [cell.execution_count for cell in cells]
    if counts != list(range(1, len(cells) + 1)):
        faults.append(f"cells did not run once each from top to bottom: {counts}")
    return faults


def executed(path: Path, *, given: Given) -> Path:
    """The executed copy of a notebook, made only if its parameters or anything that it was made from
    changed, see :mod:`safetune_utils.book.freshness`.
    """
    stage = stage_of(path, given)
    folder = store.stage_folder(**stage)
    # What it reads is known only when it has run, so that is no part of the folder's name.
    if store.is_made(folder) and changes(path, folder / path.name):
        shutil.rmtree(folder)

    def make(target: Path) -> dict[str, Any]:
        execute(path, given=given, output=target / path.name)
        return {"parameters": given}

    return store.produce(**stage, make=make) / path.name


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


class _Said(logging.Handler):
    """Lines for the terminal: what a notebook prints is text from outside."""

    def emit(self, record: logging.LogRecord) -> None:
        say(record.getMessage(), error=True)


def _log_to_stderr() -> None:
    """Let the progress lines of a running notebook reach the terminal."""
    logger = logging.getLogger("papermill")
    if not logger.handlers:
        handler = _Said()
        # Its parameters were checked; papermill knows only those of the notebook's own cell.
        # What it tells of each cell and file is for those who ask, and of a notebook that is being stopped
        # nothing is news.
        handler.addFilter(
            lambda line: (
                not stopping.asked()
                and not line.getMessage().startswith("Passed unknown parameter")
                and (level() == "verbose" or not line.getMessage().startswith(_OF_PAPERMILL))
            )
        )
        logger.addHandler(handler)
        logger.propagate = False
    logger.setLevel(logging.WARNING if level() == "quiet" else logging.INFO)


_OF_PAPERMILL = ("Executing ", "Ending Cell", "Input Notebook", "Output Notebook", "Working directory")
