"""Run a study: train, generate and score what is missing, several adapters side by side, and return one tidy
table.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

from safetune_utils import store
from safetune_utils.generation.decoding import ordered_weights
from safetune_utils.machine import device
from safetune_utils.machine.processes import side_by_side
from safetune_utils.models import architecture
from safetune_utils.study.responses import responses_of
from safetune_utils.study.stages import adapter_folder, load_adapted, responses_folder, sets_left
from safetune_utils.study.study import Run, Study

# Rows times epochs from which an adapter gets a process of its own; for less, starting one costs more than it
# saves.
_SUBPROCESS_FROM_ROWS = 300


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
    # By their folders, so that an adapter that two studies share is one piece of work.
    named = {adapter_folder(study, one, make=False): (study, one) for study in studies for one in study.runs}
    missing = [piece for folder, piece in named.items() if not store.is_made(folder)]
    # The longest first, so that no process is left with it at the end.
    missing.sort(key=lambda piece: piece[0].n_rows(piece[1]), reverse=True)
    work: list[tuple[Callable[..., Any], tuple[Study, Run]]] = [(adapter_folder, piece) for piece in missing]
    # An adapter that is still in training is asked last.
    place = {adapter_folder(*piece, make=False): number for number, piece in enumerate(missing)}
    asked = [(study, one) for study in studies for one in study.runs if sets_left(study, one)]
    asked.sort(key=lambda piece: place.get(adapter_folder(*piece, make=False), -1))
    work += [(respond, piece) for piece in asked]
    for study, _ in (*missing, *asked):
        device.check(study.settings.device)
    if any(
        study.n_rows(one) * study.settings.recipe.epochs >= _SUBPROCESS_FROM_ROWS
        for study, one in named.values()
    ):
        side_by_side(
            work,
            bytes_each=max(bytes_of_process(study) for study in studies),
            device=studies[0].settings.device,
        )
    else:
        for function, piece in work:
            function(*piece)
    tables = [responses_of(study).assign(study=number) for number, study in enumerate(studies)]
    return pd.concat(tables, ignore_index=True)


def respond(study: Study, run: Run) -> None:
    """Let an adapter respond to the prompt sets that are left; it is trained first where it is missing."""
    missing = sets_left(study, run)
    if not missing:
        return
    model, tokenizer = load_adapted(study, adapter_folder(study, run))
    with ordered_weights(model):
        for name in missing:
            responses_folder(study, run, name, model=model, tokenizer=tokenizer)


def bytes_of_process(study: Study) -> float:
    """About how many bytes a process takes that trains or generates, rounded up.

    The embedded model's was seen to take 3.4 GB.
    """
    shape = architecture.architecture_of(study.settings.base_model)
    return 2e9 + 12 * architecture.parameters(shape)["total"]
