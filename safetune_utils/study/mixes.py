"""The mix of each adapter: which rows it is trained on. Each is drawn once, and kept in the study.

The choice ``hardest`` goes by the base model's loss on each row, which is a stage of its own: it is made when
a mix is first drawn, and never when a study is stated.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from pathlib import Path

from safetune_utils import data, store
from safetune_utils.data import Example
from safetune_utils.data.mix import Mix, mix, topics_in_turn
from safetune_utils.errors import SafetuneError
from safetune_utils.scoring import refusal_rules
from safetune_utils.study import base
from safetune_utils.study.study import Run, Study


def mix_of(study: Study, run: Run) -> Mix:
    """The rows an adapter is trained on; for the paper's data and amounts its own rows, where its mixes can
    be had.

    The choice ``hardest`` loads the base model where its losses were not worked out before.
    """
    if run not in study.drawn:
        study.drawn[run] = _draw(study, run, _places(study))
    return study.drawn[run]


def rows_key(study: Study, run: Run, *, make: bool = True) -> store.Facts:
    """What a mix adds to a stage's inputs: its rows as hashes, and how they are ordered if not mixed.

    With ``make`` false no model is loaded: for a mix that cannot be drawn without one stands what it is to be
    drawn from, and no stage is known by that.
    """
    if run not in study.row_keys:
        if not make and not is_known(study):
            said = {"data", "general_data", "safety_data", "n_general", "safety_format", "mixing"}
            return study.settings.model_dump(include=said) | {"n_safety": run.n_safety}
        drawn = mix_of(study, run)
        key = {"train": data.content_hash(drawn.train), "validation": data.content_hash(drawn.validation)}
        later = {"n_later": drawn.n_later, "version_later": 3} if drawn.n_later else {}
        study.row_keys[run] = key | later
    return study.row_keys[run]


def check(study: Study) -> None:
    """Raise ``SafetuneError`` where a mix cannot be drawn: too few rows, unknown topics, no questions. No
    model is loaded.
    """
    mixing, most = study.settings.mixing, max(study.settings.safety_amounts)
    if mixing.choice != "hardest":
        for run in study.runs:
            mix_of(study, run)
        return
    if mixing.n_candidates is not None and mixing.n_candidates < most:
        raise SafetuneError(
            f"mixing.n_candidates is {mixing.n_candidates}, but {most} safety rows are asked for: choose at"
            " least as many, or None for all"
        )
    for run in study.runs:
        _draw(study, run, None)  # in another order, but there are as many rows


def is_known(study: Study) -> bool:
    """Whether the study's mixes can be named without loading a model."""
    return study.settings.mixing.choice != "hardest" or store.is_made(base_losses_folder(study, make=False))


def safety_rows(study: Study, run: Run) -> list[Example]:
    """The safety rows that an adapter is trained on, in the form that it sees."""
    pool = {row.id for row in study.safety}
    return [row for row in mix_of(study, run).train if row.id in pool]


def leaks(study: Study) -> dict[str, list[str]]:
    """Ids of test prompts that a study trains on word for word, by prompt set; empty where there are none."""
    drawn = [mix_of(study, run) for run in study.runs]
    trained = {row.id: row for one in drawn for row in (*one.train, *one.validation)}
    found = {name: data.exact_copies(trained.values(), study.prompts(name)) for name in study.prompt_sets}
    return {name: ids for name, ids in found.items() if ids}


def base_losses_folder(study: Study, *, make: bool = True) -> Path:
    """The stage that holds the base model's mean loss per token on each candidate's answer, in nats.

    Each answer stands under its row's instruction. With ``make`` false the folder is only named.
    """
    s, rows = study.settings, candidates(study)
    inputs = {
        "version": base.VERSIONS["base_losses"],
        "rows": data.content_hash(rows),
        "max_length": s.recipe.max_length,
    } | base.key(study)
    label = source_name(study.safety_source)
    if not make:
        return store.stage_folder(stage="base_losses", label=label, inputs=inputs)

    def measure(folder: Path) -> store.Facts:
        from safetune_utils.training import reference_loss

        model, tokenizer = base.load(study)
        found = reference_loss.reference_loss(
            model=model,
            tokenizer=tokenizer,
            examples=rows,
            max_length=s.recipe.max_length,
            template=s.template,
        )
        losses = [{"id": row_id, "loss": loss} for row_id, loss in found.per_example.items()]
        store.write_lines(folder / "losses.jsonl", losses)
        return {"rows": found.n_examples, "unscored": found.n_unscored, "mean_loss": found.loss}

    return store.produce(stage="base_losses", label=label, inputs=inputs, make=measure)


def source_name(source: str) -> str:
    """A source of data as the start of a folder's name: a path by its last part."""
    return source if "/" not in source and "\\" not in source else Path(source).name


def _draw(study: Study, run: Run, places: Callable[[list[Example]], list[float]] | None) -> Mix:
    s = study.settings
    ready = study.ready_made.get(run.n_safety)
    return mix(
        general=study.general,
        safety=study.safety if ready is None else [row for row in study.safety if row.id in ready],
        n_general=s.n_general,
        n_safety=run.n_safety,
        safety_format=s.safety_format,
        n_validation=s.recipe.n_validation,
        seed=run.seed,
        validation=s.recipe.validation,
        mixing=s.mixing,
        contrast=study.contrast,
        places=places,
    )


def _places(study: Study) -> Callable[[list[Example]], list[float]] | None:
    """What the study's choice of safety rows means as places: the lowest come first."""
    choice = study.settings.mixing.choice
    if choice == "topics":
        return topics_in_turn
    if choice == "refusals":
        return _refusals_first
    if choice == "hardest":
        rows = store.rows_of(base_losses_folder(study) / "losses.jsonl")
        losses = {row["id"]: row["loss"] for row in rows}
        return lambda pool: [-losses.get(row.id, -math.inf) for row in pool]
    return None


def _refusals_first(pool: list[Example]) -> list[float]:
    scores = refusal_rules.score([row.instruction for row in pool], [row.output for row in pool])
    return [float(score.label != "full_refusal") for score in scores]


def candidates(study: Study) -> list[Example]:
    """The safety rows among which the choice ``hardest`` looks; the same for every seed."""
    n = study.settings.mixing.n_candidates
    if n is None:
        return study.safety
    return random.Random("candidates").sample(study.safety, min(n, len(study.safety)))
