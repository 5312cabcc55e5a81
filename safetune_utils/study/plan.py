"""What of a study is there already, what is left, and how long the rest takes on this machine. No model is
loaded.
"""

from __future__ import annotations

import pandas as pd

from safetune_utils import places, store
from safetune_utils.machine.processes import share_of_threads
from safetune_utils.settings import off_default
from safetune_utils.study.mixes import is_known
from safetune_utils.study.stages import adapter_folder, scores_left, sets_left
from safetune_utils.study.study import Run, Study

# For the forecast before anything was measured on this machine: two cores with bf16, the embedded model.
_GUESSED_TOKENS_PER_SECOND = 900.0
_GUESSED_RESPONSES_PER_SECOND = 15.0
_GUESSED_TOKENS_PER_ROW = 95


def plan(study: Study) -> pd.DataFrame:
    """What there is and what is left, one row an adapter.

    Returns:
        ``n_safety, seed, rows`` (of the mix), ``adapter`` (``there`` or ``to train``), ``responses_there,
        responses_left``, ``scores_left`` (of all instruments together), and ``minutes_left``, a forecast
        without the scoring.
    """
    # Where the choice of rows goes by losses that were not worked out yet, the adapters have no names to look
    # for.
    known = is_known(study)
    rows = []
    for run in study.runs:
        trained = known and store.is_made(adapter_folder(study, run, make=False))
        left = sets_left(study, run) if known else list(study.prompt_sets)
        every = [(name, one) for name in study.prompt_sets for one in study.settings.instruments]
        unscored = scores_left(study, run) if known else every
        n_left = sum(len(study.prompts(name)) for name in left)
        rows.append(
            {
                "n_safety": run.n_safety, "seed": run.seed, "rows": study.n_rows(run),
                "adapter": "there" if trained else "to train",
                "responses_there": sum(len(study.prompts(name)) for name in study.prompt_sets) - n_left,
                "responses_left": n_left,
                "scores_left": sum(len(study.prompts(name)) for name, _ in unscored),
                "tokens_left": 0 if trained else n_tokens(study, run),
            }
        )  # fmt: skip
    found = pd.DataFrame(rows)
    tokens, responses = found.pop("tokens_left"), found["responses_left"]
    # The machine's speed is asked for, and PyTorch with it, where there is something to forecast.
    of_training, of_answering = speeds(study) if (tokens + responses).any() else (1.0, 1.0)
    return found.assign(minutes_left=(tokens / of_training + responses / of_answering) / 60)


def n_tokens(study: Study, run: Run) -> int:
    """About how many tokens an adapter is trained on, all epochs added up."""
    return study.n_rows(run) * study.settings.recipe.epochs * _GUESSED_TOKENS_PER_ROW


def speeds(study: Study) -> tuple[float, float]:
    """Tokens a second in training and responses a second, of all processes together.

    They are means over this store's stages of this base model, else a guess.
    """
    training, generating, alike = [], [], set()
    like_these = {"base_model": study.base_identity, "arithmetic": study.arithmetic}
    for path in places.store_folder().glob("adapters/*/record.json"):
        record = store.record_of(path.parent)
        if any(record["inputs"].get(name) != value for name, value in like_these.items()):
            continue
        alike.add(store.key_in(path.parent))
        # A run resumed at its last step trained nothing, and has no speed to tell.
        if speed := record["facts"]["tokens_per_second"]:
            training.append(speed * share_of_threads(record["machine"]["threads"]))
    for path in places.store_folder().glob("responses/*/record.json"):
        record = store.record_of(path.parent)
        same_decoding = record["inputs"]["decoding"] == off_default(study.settings.decoding)
        if same_decoding and record["inputs"]["adapter"] in alike:
            speed = record["facts"]["responses"] / max(record["seconds"], 1e-3)
            generating.append(speed * share_of_threads(record["machine"]["threads"]))
    return (
        sum(training) / len(training) if training else _GUESSED_TOKENS_PER_SECOND,
        sum(generating) / len(generating) if generating else _GUESSED_RESPONSES_PER_SECOND,
    )
