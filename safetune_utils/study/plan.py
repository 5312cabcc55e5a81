"""What of a study is there already, what is left, and how long the rest takes on this machine. No model is
loaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from safetune_utils import places, store
from safetune_utils.estimate.hardware import fp32_rate
from safetune_utils.machine.processes import share_of_threads
from safetune_utils.scoring.instruments import INSTRUMENTS
from safetune_utils.settings import off_default
from safetune_utils.study.controls import controls_left, own_answers, untuned
from safetune_utils.study.side_effects import n_measured, side_effect_folder, side_effects_left
from safetune_utils.study.stages import (
    adapter_folder,
    responses_folder,
    scores_folder,
    scores_left,
    sets_left,
)
from safetune_utils.study.study import Run, Study

# For the forecast before anything was trained on this machine: two cores with bf16, the embedded model.
_GUESSED_AT_TFLOPS = 0.62
_GUESSED_TOKENS_PER_SECOND = 900.0
_GUESSED_RESPONSES_PER_SECOND = 15.0
_GUESSED_TOKENS_PER_ROW = 95


def plan(study: Study) -> pd.DataFrame:
    """What there is and what is left, one row an adapter.

    Returns:
        ``n_safety, seed, rows`` (of the mix), ``adapter`` (``there`` or ``to train``), ``responses_there,
        responses_left``, ``scores_left`` (of all instruments together, and what the side effects are measured
        on), and ``minutes_left``, a forecast without what a server scores. A study with controls has one row
        more, for the ``untuned`` model, with a dash for what it lacks.
    """
    rows = []
    own = own_answers(study)
    for run in study.runs:
        of_controls = [(own, run)] if own and run in own.runs else []
        left = left_of([(study, run), *of_controls])
        sets = {name for asking, _ in [(study, run), *of_controls] for name in asking.prompt_sets}
        rows.append(
            {
                "n_safety": run.n_safety, "seed": run.seed, "rows": study.n_rows(run),
                "adapter": "to train" if left.tokens else "there",
                "responses_there": sum(map(len, map(study.prompts, sets))) - left.responses,
                "responses_left": left.responses,
                "scores_left": left.scores,
                "tokens": left.tokens, "answers": left.answers or 0,
            }
        )  # fmt: skip
    if study.controls:
        to_come = controls_left(study)
        answers = sum(to_come.answers.values())
        asked = sum(len(study.prompts(one.prompt_set)) for one in untuned(study))
        rows.append(
            {
                "n_safety": "untuned", "seed": "–", "rows": "–", "adapter": "none",
                "responses_there": asked - answers, "responses_left": answers,
                "scores_left": sum(to_come.scores.values()),
                "tokens": 0, "answers": answers + sum(to_come.read.values()),
            }
        )  # fmt: skip
    found = pd.DataFrame(rows)
    of_training, of_answering = speeds(study)
    minutes = (found.pop("tokens") / of_training + found.pop("answers") / of_answering) / 60
    return found.assign(minutes_left=minutes)


class Left(NamedTuple):
    """What of an adapter is left.

    Attributes:
        tokens: about how many it has to be trained on, all epochs added up; 0 where it is there.
        responses: that it has to give.
        scores: of its responses, and the questions and reference answers that it has to be measured on.
        answers: about how many responses would take as long as all that but the training: a score by a model,
            a question and a reference answer count as one each, a score by rules or by a server as none.
            ``None`` where nothing is left that needs no server.
    """

    tokens: int
    responses: int
    scores: int
    answers: int | None


def left_of(asks: Sequence[tuple[Study, Run]]) -> Left:
    """What of an adapter is left.

    Args:
        asks: the studies that ask it, each with the run that is this adapter; what several ask counts once.
    """
    study, run = asks[0]
    trained = store.is_made(adapter_folder(study, run, make=False), trusting=True)
    responses: dict[Path, int] = {}
    scores: dict[Path, int] = {}
    # Of the scores those that need no server, as answers.
    here: dict[Path, int] = {}
    for study, run in asks:
        for name in sets_left(study, run):
            responses[responses_folder(study, run, name)] = len(study.prompts(name))
        for name, by, other in scores_left(study, run):
            folder = scores_folder(study, run, name, by, asked_as=other, make=False)
            scores[folder] = len(study.prompts(name))
            if not INSTRUMENTS[by].options:
                here[folder] = scores[folder] if INSTRUMENTS[by].numbers else 0
        for name in side_effects_left(study, run):
            folder = side_effect_folder(study, run, name, make=False)
            scores[folder] = here[folder] = n_measured(study, name)
    return Left(
        tokens=0 if trained else n_tokens(*asks[0]),
        responses=sum(responses.values()),
        scores=sum(scores.values()),
        answers=sum((responses | here).values()) if responses or here else None,
    )


def n_tokens(study: Study, run: Run) -> int:
    """About how many tokens an adapter is trained on, all epochs added up."""
    return study.n_rows(run) * study.settings.recipe.epochs * _GUESSED_TOKENS_PER_ROW


def speeds(study: Study) -> tuple[float, float]:
    """Tokens a second in training and responses a second, of all processes together.

    They are means over this store's stages of this base model, else a guess from how fast this machine
    multiplies, see :func:`_pace`.
    """
    training, generating, alike = [], [], set()
    like_these = {"base_model": study.base_identity, "arithmetic": study.arithmetic}
    for path in places.store_folder().glob("adapters/*/record.json"):
        record = store.read_record(path.parent)
        if record is None or any(record["inputs"].get(name) != value for name, value in like_these.items()):
            continue
        alike.add(store.key_in(path.parent))
        # A run resumed at its last step trained nothing, and has no speed to tell.
        if speed := record["facts"]["tokens_per_second"]:
            training.append(speed * share_of_threads(record["machine"]["threads"]))
    for path in places.store_folder().glob("responses/*/record.json"):
        record = store.read_record(path.parent)
        if record is None:
            continue
        same_decoding = record["inputs"]["decoding"] == off_default(study.settings.decoding)
        if same_decoding and record["inputs"]["adapter"] in alike:
            speed = record["facts"]["responses"] / max(record["seconds"], 1e-3)
            generating.append(speed * share_of_threads(record["machine"]["threads"]))
    return (
        sum(training) / len(training) if training else _GUESSED_TOKENS_PER_SECOND * _pace(study),
        sum(generating) / len(generating) if generating else _GUESSED_RESPONSES_PER_SECOND * _pace(study),
    )


def _pace(study: Study) -> float:
    """How fast this machine multiplies beside the one that the guesses are of, at most 1: a faster one has
    other limits. One with bf16 is taken for as fast.
    """
    return min(1.0, fp32_rate() / _GUESSED_AT_TFLOPS) if study.arithmetic == "cpu-fp32" else 1.0
