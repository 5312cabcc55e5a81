"""State a study: from parameters to a checked :class:`~safetune_utils.study.study.Study`. No model is loaded
here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from safetune_utils.data import check_source, prompt_sets_of
from safetune_utils.errors import SafetuneError
from safetune_utils.machine.device import planned
from safetune_utils.models.architecture import check_known_targets
from safetune_utils.models.folders import check_base_folder
from safetune_utils.models.identity import commit_in, title
from safetune_utils.presets import among, resolve
from safetune_utils.scoring import instruments
from safetune_utils.settings import USUAL_TARGETS, Settings
from safetune_utils.study import base, mixes, old_store
from safetune_utils.study.side_effects import check_side_effects
from safetune_utils.study.study import Study
from safetune_utils.terminal import say


def state(
    names: Mapping[str, Any] | None = None,
    /,
    *,
    prompt_sets: Sequence[str],
    read_as: Mapping[str, str] | None = None,
    side_effects: Sequence[str] = (),
    controls: Sequence[str] = (),
    **parameters: Any,
) -> Study:
    """State a study: one adapter for each amount of safety data and seed, answering each prompt set.

    Args:
        names: a notebook's own names, ``globals()``. Those that :class:`safetune_utils.settings.Settings` has
            are taken as parameters, also where the notebook's parameters cell does not show them. ``None``
            takes none.
        prompt_sets: names from :data:`safetune_utils.data.PROMPT_SETS`.
        read_as, side_effects: what is wanted besides, see :class:`~safetune_utils.study.study.Study`.
        controls: likewise; sets that the data does not have are left out.
        **parameters: any field of :class:`safetune_utils.settings.Settings`; they go before ``names``.
            ``None`` keeps the preset's value.

    Raises:
        SafetuneError: a parameter is wrong, or the data does not have what is asked for, before anything is
            trained.
    """
    settings = resolve(**among(names or {}, Settings, given=parameters) | parameters)
    there = [name for name in controls if name in prompt_sets_of(settings)]
    return _checked(
        Study(settings, tuple(prompt_sets), dict(read_as or {}), tuple(side_effects), tuple(there))
    )


def sets_there(names: Mapping[str, Any]) -> list[str]:
    """The prompt sets that a study with a notebook's parameters, ``globals()``, can ask: those of its data
    and the user's own.

    Raises:
        SafetuneError: a parameter is wrong.
    """
    return prompt_sets_of(resolve(**among(names, Settings)))


def vary(
    study: Study,
    *,
    prompt_sets: Sequence[str] | None = None,
    controls: Sequence[str] = (),
    **changes: Any,
) -> Study:
    """The same study but for some settings, such as ``safety_amounts=[100]`` or ``mixing={"choice":
    "topics"}``, or with other prompt sets. The first study's controls are its own: name those of this one.

    Raises:
        SafetuneError: as for :func:`state`.
    """
    settings = study.settings.model_dump(exclude_unset=True)
    if "base_model" in changes:  # these were the other model's
        settings.pop("revision", None)
        settings.get("recipe", {}).pop("target_modules", None)
    both = {
        name: settings.get(name, {}) | value if isinstance(value, dict) else value
        for name, value in changes.items()
    }
    sets = study.prompt_sets if prompt_sets is None else tuple(prompt_sets)
    changed = resolve(**settings | both)
    there = tuple(name for name in controls if name in prompt_sets_of(changed))
    return _checked(replace(study, settings=changed, prompt_sets=sets, controls=there))


def without_topics(study: Study, topics: Sequence[str]) -> Study | None:
    """The same study with no safety row of these topics, at one amount: the largest that the other rows can
    fill.

    The rows that are left out are replaced by others, so each mix has as many as this study's. ``None`` where
    no safety row is of these topics, or where too few are of others.
    """
    settings = study.settings
    if not {row.topic for row in study.safety} & set(topics):
        return None
    given = settings.model_dump()
    mixing = given["mixing"] | {"topics_left_out": [*settings.mixing.topics_left_out, *topics]}
    for amount in sorted(filter(None, settings.safety_amounts), reverse=True):
        # This study was checked when it was stated, so nothing but the smaller pool can be wrong here.
        with contextlib.suppress(SafetuneError):
            changed = given | {"safety_amounts": [amount], "mixing": mixing}
            return _checked(replace(study, settings=resolve(**changed), controls=()))
    return None


def _checked(asked: Study) -> Study:
    """The study with its device, number format, model revision and adapter layers fixed, if its instruments,
    side effects, mixes and prompts can all be had.

    Raises:
        SafetuneError: one cannot.
    """
    _check(asked)
    if line := old_store.take_over():
        say(line, error=True)
    s = asked.settings
    device, precision = planned(device=s.device, precision=s.precision)
    fixed = {"device": device, "precision": precision, "revision": commit_in(asked.base_identity)}
    s = s.model_copy(update=fixed)
    # This may import what loads models, so all that can be wrong without was looked at before.
    if s.recipe.target_modules is None and (targets := base.default_targets(s)):
        s = s.model_copy(update={"recipe": s.recipe.model_copy(update={"target_modules": targets})})
        if targets != USUAL_TARGETS:
            say(f"adapters on {title(s.base_model)} are put on {', '.join(targets)}", error=True)
    study = replace(asked, settings=s)
    study.drawn.update(asked.drawn)
    study.asked.update(asked.asked)
    return study


def _check(asked: Study) -> None:
    """Raise ``SafetuneError`` where what a study asks for cannot be had, as far as its settings, files and
    names decide that; the quickest first.
    """
    s = asked.settings
    at_hub = s.base_model != "embedded" and not Path(s.base_model).expanduser().is_dir()
    if s.revision and not at_hub:
        raise SafetuneError(
            f"revision is {s.revision!r}, but base_model {s.base_model!r} is no Hugging Face id: leave"
            " revision away"
        )
    check_source(s.data)
    check_base_folder(s.base_model)
    check_known_targets(s.base_model, s.recipe.target_modules or ())
    if unasked := asked.read_as.keys() - {*asked.prompt_sets}:
        raise SafetuneError(
            f"read_as reads responses to '{min(unasked)}', which is not asked: add it to prompt_sets"
        )
    check_side_effects(asked.side_effects)
    mixes.check(asked)
    for name in (*asked.prompt_sets, *asked.read_as.values(), *asked.controls):
        asked.prompts(name)
    instruments.check(s.instruments)
