"""What the chapters of a book will ask for, before any of them is executed: so that one pool trains, answers
and scores for the whole book, and no core waits between two chapters.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

from IPython.core.interactiveshell import InteractiveShell
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook

from safetune_utils.book.parameters import Given, schema_of, with_whole_paths
from safetune_utils.errors import SafetuneError
from safetune_utils.machine.processes import in_subprocess
from safetune_utils.study.run import stated_only
from safetune_utils.study.study import Study


def studies_of(chapters: Sequence[tuple[Path, Given]]) -> list[Study]:
    """The studies that notebooks run with these parameters, each stated by the notebook's own cells, up to
    the one that runs it.

    A notebook whose own code fails on the way there states nothing here: it tells its fault when it is
    executed.

    Raises:
        SafetuneError: a study cannot be stated as it is asked for.
    """
    of_studies = [(path, with_whole_paths(given)) for path, given in chapters if schema_of(path) == "study"]
    return in_subprocess(_stated, of_studies) if of_studies else []


def _stated(chapters: list[tuple[Path, Given]]) -> list[Study]:
    found: list[Study] = []
    for path, given in chapters:
        with (
            open(os.devnull, "w") as nowhere,
            contextlib.redirect_stdout(nowhere),
            contextlib.chdir(path.parent),
            stated_only() as asked,
        ):
            _execute(path, given)
        found += asked
    return found


def _execute(path: Path, given: Given) -> None:
    """Run a notebook's code cells one after the other in this process, up to the first that fails, with
    parameters as papermill puts them.
    """
    shell = InteractiveShell()
    for cell in parameterize_notebook(load_notebook_node(str(path)), given).cells:
        if cell.cell_type != "code":
            continue
        answer = shell.run_cell(cell.source)
        if isinstance(answer.error_in_exec, SafetuneError):
            raise SafetuneError(f"{path.stem}: {answer.error_in_exec}")
        if not answer.success:
            return
