"""What the chapters of a book will ask for, before any of them is executed: so that one pool trains, answers,
measures and scores for the whole book, and no core waits between two chapters.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from IPython.core.interactiveshell import InteractiveShell
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook

from safetune_utils.book.parameters import Given, schema_of, validate, with_whole_paths
from safetune_utils.errors import SafetuneError
from safetune_utils.machine.processes import Piece
from safetune_utils.scoring import train
from safetune_utils.study.run import stated_only
from safetune_utils.study.study import Study

# About what a labelled answer takes that is trained on once, or that a small model is tried on.
_MINUTES_OF_A_LABELLED_ANSWER = 0.3 / 60


def studies_of(chapters: Sequence[tuple[Path, Given]]) -> list[Study]:
    """The studies that notebooks run with these parameters, each stated by the notebook's own cells, up to
    the one that runs it.

    A notebook whose own code fails on the way there states nothing here: it tells its fault when it is
    executed.

    Raises:
        SafetuneError: a study cannot be stated as it is asked for.
    """
    of_studies = [(path, with_whole_paths(given)) for path, given in chapters if schema_of(path) == "study"]
    if not of_studies:
        return []
    # Not by the server of `machine.processes`: it imports what loads models, and all may be made already.
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(_stated, of_studies).result()


def trials_of(chapters: Sequence[tuple[Path, Given]]) -> list[Piece]:
    """The small models that chapters train to show how an instrument is made, as pieces of work; without
    those that are there.
    """
    settings = [validate(path, given) for path, given in chapters if schema_of(path) == "scorer-training"]
    return [
        Piece(train.trial, (one,), (one.n_train * one.epochs + one.n_test) * _MINUTES_OF_A_LABELLED_ANSWER)
        for one in settings
        if isinstance(one, train.ScorerTraining) and not train.is_tried(one)
    ]


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
