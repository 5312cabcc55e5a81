"""Run a study: train, generate, measure and score what is missing, several adapters side by side, and return
one tidy table.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from pathlib import Path

import pandas as pd

from safetune_utils.machine.memory import release_memory
from safetune_utils.machine.processes import Piece, side_by_side
from safetune_utils.scoring.instruments import INSTRUMENTS
from safetune_utils.study import base, begin
from safetune_utils.study.controls import controls_left, make_controls, with_own_answers
from safetune_utils.study.mixes import base_losses_folder, candidates, is_known
from safetune_utils.study.plan import left_of, speeds
from safetune_utils.study.responses import responses_of
from safetune_utils.study.side_effects import n_measured, side_effect_folder, side_effects_left
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
# Minutes of answering and scoring from which an adapter's are two pieces: else the last one to be asked keeps
# one process busy while the others have nothing left to do. For less, loading it twice costs more.
_HALVES_FROM_MINUTES = 1.0


def run(study: Study) -> pd.DataFrame:
    """Train, generate, measure and score whatever is missing.

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


def fill(studies: Sequence[Study], *, beside: Sequence[Piece] = ()) -> None:
    """Train, generate, measure and score whatever is missing of some studies, as many adapters side by side
    as the machine allows.

    Scores that ask a service are left to whoever reads them, so that its limits hold for all together.

    Args:
        studies: an adapter that several of them share is made once.
        beside: other work with the embedded model, for the same processes.
    """
    studies = with_own_answers(studies)
    pieces = [*beside, *_control_pieces(studies), *_pieces(studies)]
    if not pieces:
        return
    begin.check(studies)
    small = all(_n_rows(study, run) < _SUBPROCESS_FROM_ROWS for study in studies for run in study.runs)
    if small and not beside and len(pieces) < _SUBPROCESS_FROM_PIECES:
        for piece in pieces:
            piece.work(*piece.arguments)
        return
    n_trained = sum(piece.work is adapter_folder for piece in pieces)
    n_asked = len({id(piece.arguments[0]) for piece in pieces if piece.work is respond})
    models = {(study.settings.base_model, study.settings.revision) for study in studies}
    if beside:
        models.add(("embedded", None))
    side_by_side(
        pieces,
        bytes_each=max(bytes_of_process(name, revision=revision) for name, revision in models),
        device=studies[0].settings.device if studies else "auto",
        progress=f"{n_trained} adapters to train, {n_asked} to ask",
    )


def _pieces(studies: Sequence[Study]) -> list[Piece]:
    """What is left of some studies: losses that a choice of rows goes by, adapters to train, and adapters to
    ask. Each stands behind what it waits for.
    """
    # By their folders, so that an adapter that several studies share is one piece of work.
    askers: dict[Path, list[tuple[Study, Run]]] = {}
    for study in studies:
        for one in study.runs:
            askers.setdefault(adapter_folder(study, one, make=False), []).append((study, one))
    found = [
        (asks, left) for asks in askers.values() if (left := left_of(asks)).tokens or left.answers is not None
    ]
    if not found:
        return []
    of_training, of_answering = (60 * speed for speed in speeds(studies[0]))  # a minute
    losses: dict[Path, Piece] = {}
    pieces: list[Piece] = []
    for asks, left in found:
        study, run = asks[0]
        before = None
        if not is_known(study):
            minutes = len(candidates(study)) / of_answering
            before = Piece(base_losses_folder, (study,), minutes)
            before = losses.setdefault(base_losses_folder(study, make=False), before)
        if left.tokens:
            before = Piece(adapter_folder, (study, run), left.tokens / of_training, after=before)
            pieces.append(before)
        if left.answers is not None:
            minutes = left.answers / of_answering
            parts = _parts(asks, 2 if minutes >= _HALVES_FROM_MINUTES else 1)
            pieces += [Piece(respond, (asks, part), minutes / len(parts), after=before) for part in parts]
    return [*losses.values(), *pieces]


def _control_pieces(studies: Sequence[Study]) -> list[Piece]:
    """What is left of the studies' controls: one piece for each base model, as it is held."""
    same: dict[str, list[Study]] = {}
    answers: dict[str, dict[Path, int]] = {}
    for study in studies:
        left = controls_left(study)
        if left.answers or left.scores:
            key = base.key(study)
            held = f"{key['base_model']} {key['arithmetic']} {key.get('quantization')}"
            same.setdefault(held, []).append(study)
            answers.setdefault(held, {}).update(left.answers | left.read)
    return [
        Piece(make_controls, (asking,), sum(answers[held].values()) / (60 * speeds(asking[0])[1]))
        for held, asking in same.items()
    ]


def _parts(asks: Sequence[tuple[Study, Run]], n: int) -> list[list[str]]:
    """All that an adapter is asked and measured by, in at most so many parts of about as many
    prompts.
    """
    sizes = {name: len(study.prompts(name)) for study, _ in asks for name in study.prompt_sets}
    sizes |= {name: n_measured(study, name) for study, _ in asks for name in study.side_effects}
    names = sorted(sizes, key=lambda name: (-sizes[name], name))
    return [part for place in range(n) if (part := names[place::n])]


def _n_rows(study: Study, run: Run) -> int:
    """Rows that an adapter is trained on, all epochs added up."""
    return study.n_rows(run) * study.settings.recipe.epochs


def respond(asks: Sequence[tuple[Study, Run]], names: Sequence[str]) -> None:
    """Let an adapter respond to the prompt sets that are left, measure its side effects, and score what it
    says; it is trained first where it is missing.

    Args:
        asks: the studies that ask it, each with the run that is this adapter.
        names: the prompt sets and side effects that it is asked and measured by now.
    """
    if any(name in names for one in asks for name in sets_left(*one)):
        from safetune_utils.generation.decoding import ordered_weights
        from safetune_utils.generation.generate import proven_way

        study, run = asks[0]
        model, tokenizer = load_adapted(study, adapter_folder(study, run))
        for num_beams in {one.settings.decoding.num_beams for one, _ in asks}:
            proven_way(model, tokenizer, num_beams=num_beams)  # outside of the block, which it compares too
        with ordered_weights(model):
            for study, run in asks:
                for name in sets_left(study, run):
                    if name in names:
                        responses_folder(study, run, name, model=model, tokenizer=tokenizer)
        del model
        release_memory()
    for study, run in asks:
        for name in side_effects_left(study, run):
            if name in names:
                side_effect_folder(study, run, name)
        for name, instrument, other in scores_left(study, run):
            if name in names and not INSTRUMENTS[instrument].options:  # it asks no server
                scores_folder(study, run, name, instrument, asked_as=other)


def bytes_of_process(base_model: str, *, revision: str | None = None) -> float:
    """About how many bytes a process takes that trains or generates, rounded up; infinite where the base
    model has parts that are not counted, so that there is one process at a time.

    The embedded model's was seen to take 3.4 GB.
    """
    from safetune_utils.models import architecture

    shape = architecture.architecture_of(base_model, revision=revision)
    return 2e9 + 12 * architecture.parameters(shape)["total"] if shape else math.inf
