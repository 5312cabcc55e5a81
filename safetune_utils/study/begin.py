"""Can this begin? Whatever trains or answers starts through here, and what would stop it later is told first:
before any model is loaded, and before a notebook's kernel is started.

Stating a study (:func:`safetune_utils.study.design.state`) finds what its parameters and files decide. Here
it is looked at whether what is left of it can be done on this machine, now.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from safetune_utils.estimate.room import check_room
from safetune_utils.machine import device
from safetune_utils.machine.distributed import processes_wanted
from safetune_utils.machine.files import check_folder
from safetune_utils.machine.processes import at_once
from safetune_utils.models import embedded
from safetune_utils.models.folders import check_adapter_folder, check_base_folder
from safetune_utils.models.identity import identity
from safetune_utils.places import store_folder
from safetune_utils.scoring import capability
from safetune_utils.scoring.instruments import INSTRUMENTS
from safetune_utils.settings import Settings
from safetune_utils.study import base
from safetune_utils.study.controls import controlled, controls_left, with_own_answers
from safetune_utils.study.design import state
from safetune_utils.study.plan import Left, left_of
from safetune_utils.study.side_effects import REFERENCE_LOSSES, side_effects_left
from safetune_utils.study.stages import scores_left
from safetune_utils.study.study import Run, Study


def check_model(base_model: str, adapter: Path | None = None) -> None:
    """Check the files of a base model, and of an adapter on it, as far as they say themselves what is wrong.

    Raises:
        SafetuneError: see :mod:`safetune_utils.models.folders`; or the hub has no such model, or is away.
    """
    if adapter is not None:
        check_adapter_folder(adapter)
    check_base_folder(base_model)
    if base_model == "embedded":
        embedded.check_there()
    elif not Path(base_model).expanduser().is_dir():
        identity(base_model)


def check_settings(settings: Settings) -> None:
    """Check all that the parameters of a study decide by themselves, in about a second: its data and topics
    are there, its instruments known, its base model's files whole.

    Raises:
        SafetuneError: as for :func:`safetune_utils.study.design.state`; or a variable is set wrongly.
    """
    _check_variables(settings.device)
    state(prompt_sets=list(settings.own_prompt_sets), **settings.model_dump(exclude_unset=True))


def _check_variables(on: str) -> None:
    """Raise ``SafetuneError`` where a variable says in no whole number how much is to be done at once."""
    processes_wanted(on)
    at_once(1, bytes_each=1, device=on)


def check(studies: Sequence[Study], *, only_trained: bool = False) -> None:
    """Check that what is left of some studies can be done here; where nothing is left, nothing is needed.

    Args:
        studies: stated ones.
        only_trained: whether an adapter is to be trained and then nothing asked.

    Raises:
        SafetuneError: the run store cannot be written to; this machine lacks the planned device, the memory
            or the disk; an instrument lacks a key, a server, a recording or a model, or a benchmark its data;
            or the base model cannot be trained and asked as the study says.
    """
    for study in with_own_answers(studies):
        left = [left_of([(study, run)]) for run in study.runs]
        controls = controls_left(study)
        if not any(map(_needs_a_model, left)) and not controls.answers and not controls.read:
            continue
        _check_variables(study.settings.device)
        store = check_folder(store_folder(), mend="set SAFETUNE_STORE to a folder that can be written")
        device.check(study.settings.device)
        if study.settings.base_model == "embedded":
            embedded.check_there()
        if not only_trained:
            # Scores of responses that are there are worth a try: nothing would be computed in vain.
            _check_instruments(
                study, [run for run, one in zip(study.runs, left, strict=True) if one.responses]
            )
            if controls.read:
                for name in controlled(study):
                    INSTRUMENTS[name].ready([])
        sizes = {name: len(study.prompts(name)) for name in study.prompt_sets}
        base.check(study)
        check_room(study.settings, prompt_sets=sizes, store=store)


def _needs_a_model(left: Left) -> bool:
    return bool(left.tokens) or left.answers is not None


def _check_instruments(study: Study, runs: Sequence[Run]) -> None:
    """Check that what will measure responses that are yet to come can do so."""
    asked: dict[str, set[str]] = {}
    for run in runs:
        for name, instrument, other in scores_left(study, run):
            asked.setdefault(instrument, set()).add(other or name)
    for instrument, names in asked.items():
        INSTRUMENTS[instrument].ready([prompt.text for name in names for prompt in study.prompts(name)])
    benchmarks = {name for run in study.runs for name in side_effects_left(study, run)}
    for name in benchmarks - {REFERENCE_LOSSES}:
        capability.check_data(name)
