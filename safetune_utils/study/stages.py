"""The stages of a study: each function names a folder of the run store and makes what is in it where it is
missing.

    mix_folder -> adapter_folder -> responses_folder -> scores_folder

A folder's name ends in the hash of what the stage was made from, so equal inputs are found again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetune_utils import data, store
from safetune_utils.data.mix import ids_of
from safetune_utils.machine import distributed
from safetune_utils.machine.memory import enough_memory
from safetune_utils.machine.processes import together
from safetune_utils.models.identity import ADAPTER_FILE, title
from safetune_utils.scoring import instruments
from safetune_utils.scoring.readings import harm_scale
from safetune_utils.settings import Settings, off_default
from safetune_utils.study import base
from safetune_utils.study.mixes import mix_of, rows_key, source_name
from safetune_utils.study.study import Run, Study

# What loads models is imported by the functions that use it: a study that is all made is read without.
if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from safetune_utils.training.finetune import TrainingFacts


def mix_folder(study: Study, run: Run, *, make: bool = True) -> Path:
    """The stage that records a mix by its ids."""
    drawn, s = mix_of(study, run), study.settings
    inputs = {"version": base.VERSIONS["mixes"]} | rows_key(study, run)
    label = f"{source_name(s.data)}-{run.label}-{s.safety_format}"
    if not make:
        return store.stage_folder(stage="mixes", label=label, inputs=inputs)
    contrast = {row.id for row in study.contrast}

    def write(folder: Path) -> store.Facts:
        ids = ids_of(drawn)
        lines = [{"split": split, "id": row_id} for split, row_ids in ids.items() for row_id in row_ids]
        store.write_lines(folder / "mix.jsonl", lines)
        trained = [*drawn.train, *drawn.validation]
        shared = {name: data.overlap(trained, data.prompts_of(s, name)) for name in study.prompt_sets}
        origins = Counter(row.question_origin for row in drawn.train if row.question_origin)
        return {
            "data": s.data, "general_data": s.general_data, "safety_data": s.safety_data,
            "n_general": s.n_general, "n_safety": run.n_safety,
            "safety_format": s.safety_format, "seed": run.seed, "mixing": s.mixing.model_dump(),
            "contrast_ids": [row_id for row_ids in ids.values() for row_id in row_ids if row_id in contrast],
            "rows": {split: len(row_ids) for split, row_ids in ids.items()},
            "question_origins": dict(origins),
            "compared_with": list(study.prompt_sets),
            "test_prompts_also_trained_on": {name: both.exact for name, both in shared.items() if both.exact},
            "test_prompts_nearly_trained_on": {name: both.near for name, both in shared.items() if both.near},
        }  # fmt: skip

    return store.produce(stage="mixes", label=label, inputs=inputs, make=write)


def adapter_folder(study: Study, run: Run, *, make: bool = True) -> Path:
    """The stage that holds a trained adapter.

    With ``make`` false it is only named; where its rows cannot be chosen yet (see
    :func:`safetune_utils.study.mixes.is_known`), by a name that no adapter has.
    """
    s = study.settings
    about = {"version": base.VERSIONS["adapters"], "recipe": off_default(s.recipe), "seed": run.seed}
    inputs = about | base.key(study) | rows_key(study, run, make=make)
    label = f"{source_name(s.data)}-{run.label}-{s.safety_format}"
    folder = store.stage_folder(stage="adapters", label=label, inputs=inputs)
    if not make:
        return folder
    mix_name = mix_folder(study, run).name
    checkpoint = store.under_way(folder).with_suffix(".pt")

    def fill(target: Path) -> store.Facts:
        facts = train(study, run, output=target, checkpoint=checkpoint)
        about = {"mix": mix_name, "n_safety": run.n_safety, "data": s.data, "base_model": title(s.base_model)}
        return dict(facts) | about

    made = store.produce(stage="adapters", label=label, inputs=inputs, make=fill)
    checkpoint.unlink(missing_ok=True)
    return made


def train(study: Study, run: Run, *, output: Path, checkpoint: Path | None = None) -> TrainingFacts:
    """Train an adapter into a folder, outside the run store, and return the facts of
    :func:`safetune_utils.training.finetune.finetune`.

    Where several processes are wanted and this is not one of them, it starts them and waits.
    """
    s = study.settings
    if distributed.world_size() == 1 and (processes := distributed.processes_wanted(s.device)) > 1:
        return together(_train, study, run, output, checkpoint, processes=processes, device=s.device)
    return _train(study, run, output, checkpoint)


def _train(study: Study, run: Run, output: Path, checkpoint: Path | None) -> TrainingFacts:
    """What each of the processes does that train an adapter."""
    s = study.settings
    from safetune_utils.training.finetune import finetune

    model, tokenizer = base.load(study)
    n_added = study.n_rows(run) - s.n_general
    progress = f"training on {s.n_general} + {n_added} rows, seed {run.seed}"
    smaller = f"lower micro_batch_tokens in recipe (now {s.recipe.micro_batch_tokens})"
    with enough_memory(f"{smaller}, or set quantization to nf4"):
        return finetune(
            model=model, tokenizer=tokenizer, mix=mix_of(study, run), recipe=s.recipe, seed=run.seed,
            output=output, template=s.template, checkpoint=checkpoint,
            progress=None if distributed.rank() else progress,
        )  # fmt: skip


def load_adapted(study: Study, adapter: Path) -> tuple[PreTrainedModel | PeftModel, PreTrainedTokenizerBase]:
    """The base model with an adapter on it, and its tokenizer."""
    from safetune_utils.models.adapters import load_adapter

    model, tokenizer = base.load(study)
    return load_adapter(model, adapter), tokenizer


def responses_folder(
    study: Study, run: Run, prompt_set: str, *, model: Any = None, tokenizer: Any = None
) -> Path:
    """The stage that holds an adapter's responses to a prompt set; without a model it is only named."""
    s, asked, adapter = study.settings, study.prompts(prompt_set), adapter_folder(study, run, make=False)
    inputs = {
        "version": base.VERSIONS["responses"],
        "adapter": store.key_in(adapter),
        "prompts": data.content_hash(asked),
        "decoding": off_default(s.decoding),
    }
    if s.decoding.temperature:
        inputs["drawn"] = 2  # raised when the same seed draws other tokens
    label = f"{source_name(s.data)}-{run.label}-{prompt_set}"
    if model is None:
        return store.stage_folder(stage="responses", label=label, inputs=inputs)

    def respond(folder: Path) -> store.Facts:
        about = f"answering {prompt_set}, {run.n_safety} safety rows"
        return write_responses(folder, s, asked, model=model, tokenizer=tokenizer, progress=about)

    return store.produce(
        stage="responses", label=label, inputs=inputs, make=respond, reads=[adapter / ADAPTER_FILE]
    )


def write_responses(
    folder: Path,
    settings: Settings,
    asked: Sequence[data.Prompt],
    *,
    model: Any,
    tokenizer: Any,
    progress: str,
) -> store.Facts:
    """Ask a loaded model some prompts in the settings' form and write what it says as a stage's
    ``responses.jsonl``.

    Returns:
        How many responses there are, how many ended of themselves, and in which way they were made.
    """
    from safetune_utils.generation import generate

    decoding = settings.decoding
    with enough_memory(f"lower batch_size in decoding (now {decoding.batch_size})"):
        responses = generate.generate(
            model=model, tokenizer=tokenizer, instructions=[prompt.text for prompt in asked],
            inputs=[prompt.input for prompt in asked], decoding=decoding, template=settings.template,
            progress=progress,
        )  # fmt: skip
    rows = [
        asdict(prompt) | {"response": said.text, "n_tokens": said.n_tokens, "stopped": said.stopped}
        for prompt, said in zip(asked, responses, strict=True)
    ]
    store.write_lines(folder / "responses.jsonl", rows)
    way = generate.proven_way(model, tokenizer, num_beams=decoding.num_beams)
    return {"responses": len(rows), "stopped": sum(row["stopped"] for row in rows), "answered_by": way}


def sets_left(study: Study, run: Run) -> list[str]:
    """The prompt sets that an adapter has not responded to yet."""
    return [name for name in study.prompt_sets if not store.is_made(responses_folder(study, run, name))]


def scores_left(study: Study, run: Run) -> list[tuple[str, str, str | None]]:
    """The scores of an adapter's responses that are missing: the prompt set, the instrument, and the set as
    which the instrument reads the requests; ``None`` where as they were asked.
    """
    wanted: list[tuple[str, str, str | None]] = [
        (name, instrument, None) for instrument in study.settings.instruments for name in study.prompt_sets
    ]
    if harm := harm_scale(study.settings.instruments):
        wanted += [(name, harm, other) for name, other in study.read_as.items()]
    return [
        (name, instrument, other)
        for name, instrument, other in wanted
        if not store.is_made(scores_folder(study, run, name, instrument, asked_as=other, make=False))
    ]


def scores_folder(
    study: Study,
    run: Run,
    prompt_set: str,
    instrument: str,
    *,
    asked_as: str | None = None,
    make: bool = True,
) -> Path:
    """The stage that holds an instrument's scores of an adapter's responses to a prompt set.

    With ``make`` false it is only named. Where the responses are no longer those that were scored, they are
    scored anew.

    Args:
        asked_as: another prompt set with the same requests in another form, which the instrument reads
            instead of the form that was asked; responses to requests that are not in it are left out.
    """
    s, responses = study.settings, responses_folder(study, run, prompt_set)
    source = responses / "responses.jsonl"
    read = study.prompts(asked_as or prompt_set)
    forms = {prompt.request: prompt.asked for prompt in read} if asked_as else None

    def score(folder: Path) -> store.Facts:
        rows = store.rows_of(source)
        if forms is not None:
            names = [(row, row["pair"] or row["id"]) for row in rows]
            rows = [row | {"text": forms[name], "input": ""} for row, name in names if name in forms]
        texts = [(row["id"], data.whole_request(row["text"], row["input"]), row["response"]) for row in rows]
        return write_scores(folder, s, instrument, texts)

    inputs = {
        "version": base.VERSIONS["scores"],
        "responses": store.key_in(responses),
    } | instruments.key(instrument, arithmetic=study.arithmetic)
    label = f"{source_name(s.data)}-{run.label}-{prompt_set}-{instrument}"
    if asked_as:
        inputs["asked_as"] = data.content_hash(study.prompts(asked_as))
        label += f"-as-{asked_as}"
    if any(prompt.asked != prompt.text for prompt in read):  # an instrument once read the instruction alone
        inputs["request"] = "instruction and input"
    if not make:
        return store.stage_folder(stage="scores", label=label, inputs=inputs)
    return store.produce(stage="scores", label=label, inputs=inputs, make=score, reads=[source])


def write_scores(
    folder: Path,
    settings: Settings,
    instrument: str,
    texts: Sequence[tuple[str, str, str]],
    *,
    any_language: bool = False,
) -> store.Facts:
    """Score answers with an instrument and write its scores as a stage's ``scores.jsonl``.

    Args:
        texts: an id, the whole request and the answer each.
        any_language: score an answer in any language, see :func:`safetune_utils.scoring.instruments.score`.

    Returns:
        How many were scored, of how many.
    """
    scores = instruments.score(
        instrument,
        [request for _, request, _ in texts],
        [answer for _, _, answer in texts],
        device=settings.device,
        precision=settings.precision,
        any_language=any_language,
    )
    lines = [{"id": name} | one.line() for (name, _, _), one in zip(texts, scores, strict=True)]
    store.write_lines(folder / "scores.jsonl", lines)
    return {"scored": sum(one.value is not None for one in scores), "of": len(scores)}
