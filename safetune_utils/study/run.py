"""Run a study: train, generate and score what is missing, several adapters side by side, and return one tidy
table.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import pandas as pd

from safetune_utils import store
from safetune_utils.machine import device
from safetune_utils.machine.memory import release_memory
from safetune_utils.machine.processes import side_by_side
from safetune_utils.scoring.instruments import INSTRUMENTS
from safetune_utils.study.plan import n_tokens, speeds
from safetune_utils.study.responses import responses_of
from safetune_utils.study.stages import (
    adapter_folder,
    load_adapted,
    responses_folder,
    scores_folder,
    scores_left,
    sets_left,
)
from safetune_utils.study.study import Run, Study

# Rows times epochs from which an adapter gets a process of its own; for less, starting one costs more than it
# saves.
_SUBPROCESS_FROM_ROWS = 300
# And so many pieces of work of any size: there the machine's cores share them out.
_SUBPROCESS_FROM_PIECES = 6


def run(study: Study) -> pd.DataFrame:
    """Train, generate and score whatever is missing.

    Returns:
        One row a response, as :func:`safetune_utils.study.responses.responses_of` gives it.
    """
    return run_together([study]).drop(columns="study")


def run_together(studies: Sequence[Study]) -> pd.DataFrame:
    """Run several studies as one, so that all their adapters train side by side; each adapter is made once.

    Returns:
        The rows of :func:`run`, of all of them, with one more column ``study``, the study's place in the
        order given.
    """
    if (asked := _ASKED.get()) is not None:
        asked += studies
        raise Stated
    fill(studies)
    tables = [responses_of(study).assign(study=number) for number, study in enumerate(studies)]
    return pd.concat(tables, ignore_index=True)


class Stated(Exception):
    """Raised in the place of running studies, see :func:`stated_only`."""


@contextlib.contextmanager
def stated_only() -> Iterator[list[Study]]:
    """The studies that code in the block asks to run. Nothing is run: the first call raises :class:`Stated`,
    which ends the block.
    """
    asked: list[Study] = []
    before = _ASKED.set(asked)
    try:
        with contextlib.suppress(Stated):
            yield asked
    finally:
        _ASKED.reset(before)


_ASKED: ContextVar[list[Study] | None] = ContextVar("asked", default=None)


def fill(studies: Sequence[Study]) -> None:
    """Train, generate and score whatever is missing of some studies, as many adapters side by side as the
    machine allows.

    Scores that ask a service are left to whoever reads them, so that its limits hold for all together.
    """
    # By their folders, so that an adapter that several studies share is one piece of work.
    askers: dict[Path, list[tuple[Study, Run]]] = {}
    for study in studies:
        for one in study.runs:
            askers.setdefault(adapter_folder(study, one, make=False), []).append((study, one))
    missing = [folder for folder in askers if not store.is_made(folder)]
    # The longest first, so that no process is left with it at the end.
    missing.sort(key=lambda folder: _n_rows(*askers[folder][0]), reverse=True)
    # An adapter that is still in training is asked last.
    place = {folder: number for number, folder in enumerate(missing)}
    left = {folder: _n_left(askers[folder]) for folder in askers}
    asked = sorted((f for f, n in left.items() if n is not None), key=lambda folder: place.get(folder, -1))
    work: list[tuple[Callable[..., Any], tuple[Any, ...]]] = [
        *((adapter_folder, askers[folder][0]) for folder in missing),
        *((respond, (askers[folder],)) for folder in asked),
    ]
    if not work:
        return
    for folder in (*missing, *asked):
        device.check(askers[folder][0][0].settings.device)
    small = all(_n_rows(*askers[folder][0]) < _SUBPROCESS_FROM_ROWS for folder in (*missing, *asked))
    if small and len(work) < _SUBPROCESS_FROM_PIECES:
        for function, arguments in work:
            function(*arguments)
        return
    of_training, of_answering = speeds(studies[0])
    side_by_side(
        work,
        bytes_each=max(bytes_of_process(study) for study in studies),
        device=studies[0].settings.device,
        progress=f"{len(missing)} adapters to train, {len(asked)} to ask",
        minutes=[
            *(n_tokens(*askers[folder][0]) / of_training / 60 for folder in missing),
            *((left[folder] or 0) / of_answering / 60 for folder in asked),
        ],
    )


def _n_left(pieces: Sequence[tuple[Study, Run]]) -> int | None:
    """How many answers an adapter still has to give and models to score; ``None`` where nothing is left.

    A score by a model counts as an answer, about which it takes.
    """
    sets = [(study, name) for study, run in pieces for name in sets_left(study, run)]
    scores = [(study, *one) for study, run in pieces for one in _own_scores_left(study, run)]
    if not sets and not scores:
        return None
    n_scores = sum(len(study.prompts(name)) for study, name, by in scores if INSTRUMENTS[by].numbers)
    return sum(len(study.prompts(name)) for study, name in sets) + n_scores


def _n_rows(study: Study, run: Run) -> int:
    """Rows that an adapter is trained on, all epochs added up."""
    return study.n_rows(run) * study.settings.recipe.epochs


def respond(pieces: Sequence[tuple[Study, Run]]) -> None:
    """Let an adapter respond to the prompt sets that are left, and score what it says; it is trained first
    where it is missing.

    Args:
        pieces: the studies that ask it, each with the run that is this adapter.
    """
    if any(sets_left(*piece) for piece in pieces):
        from safetune_utils.generation.decoding import ordered_weights
        from safetune_utils.generation.generate import proven_way

        study, run = pieces[0]
        model, tokenizer = load_adapted(study, adapter_folder(study, run))
        for num_beams in {study.settings.decoding.num_beams for study, _ in pieces}:
            proven_way(model, tokenizer, num_beams=num_beams)  # outside of the block, which it compares too
        with ordered_weights(model):
            for study, run in pieces:
                for name in sets_left(study, run):
                    responses_folder(study, run, name, model=model, tokenizer=tokenizer)
        del model
        release_memory()
    for study, run in pieces:
        for name, instrument in _own_scores_left(study, run):
            scores_folder(study, run, name, instrument)


def _own_scores_left(study: Study, run: Run) -> list[tuple[str, str]]:
    """Those of the missing scores that need no service."""
    return [one for one in scores_left(study, run) if INSTRUMENTS[one[1]].needs == "nothing"]


def bytes_of_process(study: Study) -> float:
    """About how many bytes a process takes that trains or generates, rounded up.

    The embedded model's was seen to take 3.4 GB.
    """
    from safetune_utils.models import architecture

    shape = architecture.architecture_of(study.settings.base_model)
    return 2e9 + 12 * architecture.parameters(shape)["total"]
