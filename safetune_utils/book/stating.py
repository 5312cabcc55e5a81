"""What the chapters of a book will ask for, before any of them is executed: so that one pool trains, answers,
measures and scores for the whole book, and no core waits between two chapters.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from safetune_utils.book.launch import is_install_cell
from safetune_utils.book.notebook_file import read_notebook
from safetune_utils.book.parameters import Given, schema_of, validate, with_whole_paths
from safetune_utils.errors import SafetuneError
from safetune_utils.machine.processes import Piece, in_subprocess
from safetune_utils.scoring import train
from safetune_utils.study import begin
from safetune_utils.study.run import stated_only
from safetune_utils.study.study import Study

_Result = TypeVar("_Result")

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
    of_studies = _of_studies(chapters)
    return _apart(_stated, of_studies) if of_studies else []


def check(path: Path, given: Given) -> None:
    """Check that the studies of a notebook can be run here and now, as its own cells state them, before a
    kernel is started for it.

    Raises:
        SafetuneError: as for :func:`studies_of` and :func:`safetune_utils.study.begin.check`.
    """
    if of_studies := _of_studies([(path, given)]):
        _apart(_check, of_studies)


def _of_studies(chapters: Sequence[tuple[Path, Given]]) -> list[tuple[Path, Given]]:
    return [(path, with_whole_paths(given)) for path, given in chapters if schema_of(path) == "study"]


def _apart(
    work: Callable[[list[tuple[Path, Given]]], _Result], chapters: list[tuple[Path, Given]]
) -> _Result:
    """Do it in a process of its own, which then gives back its memory.

    Not forked from the server of `machine.processes`, which imports what loads models: all may be made.
    """
    return in_subprocess(work, chapters, loads_models=False, by_server=False)


def _check(chapters: list[tuple[Path, Given]]) -> None:
    begin.check(_stated(chapters))


def trials_of(chapters: Sequence[tuple[Path, Given]]) -> list[Piece]:
    """The small models that chapters train to show how an instrument is made, as pieces of work; without
    those that are there.
    """
    settings = [validate(path, given) for path, given in chapters if schema_of(path) == "scorer-training"]
    return [
        Piece(train.trial, (one,), (one.n_train + one.n_test) * _MINUTES_OF_A_LABELLED_ANSWER)
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
    parameters where papermill puts them: behind its own, or first where it has none.
    """
    # Neither papermill nor nbformat, which take seconds to import.
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell()
    # Nobody sees a traceback, and it takes a second to be made.
    shell.set_custom_exc((BaseException,), lambda *_, **__: None)
    shell.push(dict(given))
    for cell in read_notebook(path).code:
        if is_install_cell(cell.metadata):
            continue
        answer = shell.run_cell(cell.source)
        if isinstance(answer.error_in_exec, KeyboardInterrupt):
            raise answer.error_in_exec
        if isinstance(answer.error_in_exec, SafetuneError):
            raise SafetuneError(f"{path.stem}: {answer.error_in_exec}")
        if not answer.success:
            return
        if "parameters" in cell.metadata.get("tags", []):
            shell.push(dict(given))
