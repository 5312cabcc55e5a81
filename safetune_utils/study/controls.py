"""Negative controls: what a study's instruments say where they should find nothing.

An instrument that finds refusals in gibberish, or harm in answers to harmless requests, measures something
else than its name says. So each instrument is asked the same of four kinds of answer:

- the study's own adapters' answers to harmless requests, at the smallest and the largest amount;
- the untuned model's answers (the base model with no adapter), in the form of the Alpaca template and in that
  of its own chat;
- gibberish: words of the corpus in a random order, and random letters, as long as answers are;
- beside them stands what a bag of words would refuse (:mod:`safetune_utils.study.bag_of_words`).

Controls are scored whatever their language: gibberish may look like another one. An instrument that asks a
server has none here.

Stages: ``untuned`` holds the untuned model's answers, and ``scores`` what the instruments say of them and of
the gibberish. No stage of an adapter depends on them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from safetune_utils import data, statistics, store
from safetune_utils.machine.memory import release_memory
from safetune_utils.models.identity import title
from safetune_utils.models.template import CHAT
from safetune_utils.scoring import instruments
from safetune_utils.scoring.controls import CONTROL_SETS, FORMS, GIBBERISH, Control, gibberish
from safetune_utils.scoring.instruments import INSTRUMENTS, READABLE, REFUSE
from safetune_utils.scoring.readings import says_yes
from safetune_utils.settings import off_default
from safetune_utils.study import base, stages
from safetune_utils.study.study import Study


def controlled(study: Study) -> list[str]:
    """Those of a study's instruments that have controls: that say yes or no, and ask no server."""
    return [
        name
        for name in study.settings.instruments
        if INSTRUMENTS[name].says and not INSTRUMENTS[name].options
    ]


def own_answers(study: Study) -> Study | None:
    """The study of a study's own answers to harmless requests: at its smallest and largest amount, by the
    instruments that have controls. ``None`` where the study has no controls or its data no such requests.
    """
    asked = set(study.controls) | set(study.prompt_sets)
    harmless = [name for name in ("ordinary", "lookalikes_safe") if name in asked]
    if not study.controls or not harmless or not controlled(study):
        return None
    amounts = study.settings.safety_amounts
    changes = {"safety_amounts": sorted({amounts[0], amounts[-1]}), "instruments": controlled(study)}
    found = replace(
        study,
        settings=study.settings.model_copy(update=changes),
        prompt_sets=tuple(harmless),
        read_as={},
        side_effects=(),
        controls=(),
    )
    found.drawn.update(study.drawn)
    found.row_keys.update(study.row_keys)
    found.asked.update(study.asked)
    return found


def with_own_answers(studies: Sequence[Study]) -> list[Study]:
    """Some studies, and for those that have controls the study of their own answers to harmless requests."""
    return [*studies, *(own for study in studies if (own := own_answers(study)))]


class Answered(NamedTuple):
    """Answers of a control that are a stage: the untuned model's to a prompt set, in a form."""

    prompt_set: str
    form: str


def untuned(study: Study) -> list[Answered]:
    """What the untuned model is asked: the study's ``controls`` in the form of the study's own prompts, and
    of those :data:`CONTROL_SETS` in the other form.
    """
    return [
        Answered(name, form)
        for form in FORMS
        for name in study.controls
        if form == study.settings.template or name in CONTROL_SETS
    ]


def untuned_folder(study: Study, asked: Answered, *, model: Any = None, tokenizer: Any = None) -> Path:
    """The stage that holds the untuned model's answers to a prompt set; without a model it is only named.

    It is empty where the model's tokenizer has no form of a chat.
    """
    s, prompts = study.settings.model_copy(update={"template": asked.form}), study.prompts(asked.prompt_set)
    inputs = base.key(replace(study, settings=s)) | {
        "version": base.VERSIONS["responses"],
        "prompts": data.content_hash(prompts),
        "decoding": off_default(s.decoding),
    }
    label = f"{asked.form}-{asked.prompt_set}"
    if model is None:
        return store.stage_folder(stage="untuned", label=label, inputs=inputs)

    def respond(folder: Path) -> store.Facts:
        if asked.form == CHAT and not tokenizer.chat_template:
            store.write_lines(folder / "responses.jsonl", [])
            return {"responses": 0, "base_model": title(s.base_model), "has_chat_form": False}
        about = f"answering {asked.prompt_set}, untuned, {asked.form}"
        made = stages.write_responses(folder, s, prompts, model=model, tokenizer=tokenizer, progress=about)
        return made | {"base_model": title(s.base_model)}

    return store.produce(stage="untuned", label=label, inputs=inputs, make=respond)


def _gibberish(study: Study, kind: str) -> list[tuple[str, str, str]]:
    """Ids, requests and gibberish in place of answers, as long as the study's answers can be: under each
    malicious request, where the data has some.

    It takes four tokens for three words.
    """
    asked = study.prompts(study.controls[0])
    texts = gibberish(len(asked), longest=max(1, study.settings.decoding.max_new_tokens * 3 // 4))[kind]
    return [(prompt.id, prompt.asked, text) for prompt, text in zip(asked, texts, strict=True)]


def gibberish_scores(study: Study, kind: str, instrument: str, *, make: bool = True) -> Path:
    """The stage that holds an instrument's scores of a kind of gibberish; else it is only named."""
    texts = _gibberish(study, kind)
    lines = [{"id": name, "request": request, "text": text} for name, request, text in texts]
    return _scores_folder(
        study,
        instrument,
        label=f"{kind.replace(' ', '-')}-{instrument}",
        inputs={"texts": data.content_hash(lines)},
        read=lambda: texts,
        make=make,
    )


def untuned_scores(study: Study, asked: Answered, instrument: str, *, make: bool = True) -> Path:
    """The stage that holds an instrument's scores of the untuned model's answers; else it is only named."""
    source = untuned_folder(study, asked) / "responses.jsonl"

    def read() -> list[tuple[str, str, str]]:
        return [
            (row["id"], data.whole_request(row["text"], row["input"]), row["response"])
            for row in store.rows_of(source)
        ]

    return _scores_folder(
        study,
        instrument,
        label=f"untuned-{asked.form}-{asked.prompt_set}-{instrument}",
        inputs={"responses": store.key_in(source.parent)},
        read=read,
        reads=[source],
        make=make,
    )


def _scores_folder(
    study: Study,
    instrument: str,
    *,
    label: str,
    inputs: store.Facts,
    read: Callable[[], list[tuple[str, str, str]]],
    reads: Sequence[Path] = (),
    make: bool,
) -> Path:
    inputs = (
        {"version": base.VERSIONS["scores"], "any_language": True}
        | inputs
        | instruments.key(instrument, arithmetic=study.arithmetic)
    )
    if not make:
        return store.stage_folder(stage="scores", label=label, inputs=inputs)

    def score(folder: Path) -> store.Facts:
        return stages.write_scores(folder, study.settings, instrument, read(), any_language=True)

    return store.produce(stage="scores", label=label, inputs=inputs, make=score, reads=reads)


def _scored_by(study: Study, asked: Answered) -> list[str]:
    """The instruments that score what the untuned model answers: all that have controls on the two control
    sets, on other sets the first alone.
    """
    first = study.settings.instruments[0]
    return [name for name in controlled(study) if asked.prompt_set in CONTROL_SETS or name == first]


class ControlsLeft(NamedTuple):
    """What is left of a study's controls, but for its own answers: folders and how many answers each takes.

    Attributes:
        answers: of the untuned model.
        scores: of its answers and of gibberish; those by a model in ``read``, too.
    """

    answers: dict[Path, int]
    scores: dict[Path, int]
    read: dict[Path, int]


def controls_left(study: Study) -> ControlsLeft:
    """What is left of a study's controls, but for its own answers to harmless requests."""
    found = ControlsLeft({}, {}, {})
    if not study.controls:
        return found
    places: list[tuple[Path, str, int]] = []
    for asked in untuned(study):
        size = len(study.prompts(asked.prompt_set))
        if not store.is_made(folder := untuned_folder(study, asked)):
            found.answers[folder] = size
        places += [
            (untuned_scores(study, asked, name, make=False), name, size) for name in _scored_by(study, asked)
        ]
    size = len(study.prompts(study.controls[0]))
    places += [
        (gibberish_scores(study, kind, name, make=False), name, size)
        for kind in GIBBERISH
        for name in controlled(study)
    ]
    for folder, name, size in places:
        if not store.is_made(folder):
            found.scores[folder] = size
            if INSTRUMENTS[name].numbers:
                found.read[folder] = size
    return found


def make_controls(studies: Sequence[Study]) -> None:
    """Let the untuned model of some studies answer what is left, and score its answers and the gibberish.

    Args:
        studies: all of one base model, held in one way.
    """
    if any(controls_left(study).answers for study in studies):
        from safetune_utils.generation.decoding import ordered_weights
        from safetune_utils.generation.generate import proven_way

        model, tokenizer = base.load(studies[0])
        for num_beams in {study.settings.decoding.num_beams for study in studies}:
            proven_way(model, tokenizer, num_beams=num_beams)
        with ordered_weights(model):
            for study in studies:
                for asked in untuned(study):
                    if not store.is_made(untuned_folder(study, asked)):
                        untuned_folder(study, asked, model=model, tokenizer=tokenizer)
        del model
        release_memory()
    for study in studies:
        for asked in untuned(study):
            for name in _scored_by(study, asked):
                untuned_scores(study, asked, name)
        for kind in GIBBERISH:
            for name in controlled(study):
                gibberish_scores(study, kind, name)


def measured(study: Study, *, tuned: bool = True) -> list[Control]:
    """All controls of a study that was run; scores that are missing are made.

    Args:
        study: one with ``controls``.
        tuned: whether its own adapters' answers are among them; without these no adapter is needed.

    Returns:
        By instrument, in the study's order; of a control with no answers (a tokenizer with no form of a chat,
        or data with no such prompts) there is none.
    """
    found: list[Control] = []
    own = own_answers(study) if tuned else None
    for name in controlled(study):
        says = INSTRUMENTS[name].says
        for asked in untuned(study):
            if name in _scored_by(study, asked):
                form = "" if asked.form == study.settings.template else f" in the form {asked.form}"
                found += _control(
                    name,
                    f"untuned model{form}, {_title(asked.prompt_set)}",
                    [untuned_scores(study, asked, name)],
                    limited=asked.prompt_set == "ordinary" and says != READABLE,
                )
        for kind in GIBBERISH if study.controls else ():
            found += _control(name, kind, [gibberish_scores(study, kind, name)], limited=True)
        if own is None:
            continue
        for prompt_set in own.prompt_sets:
            for amount in own.settings.safety_amounts:
                runs = [run for run in own.runs if run.n_safety == amount]
                found += _control(
                    name,
                    f"{amount} safety examples, {_title(prompt_set)}",
                    [stages.scores_folder(own, run, prompt_set, name) for run in runs],
                    limited=prompt_set == "ordinary" and says not in (REFUSE, READABLE),
                )
    return found


def _title(prompt_set: str) -> str:
    return data.set_entry(prompt_set).title


def _control(instrument: str, control: str, folders: Sequence[Path], *, limited: bool) -> list[Control]:
    lines = [
        {"id": line["id"], "seed": seed, "value": line.get("value")}
        for seed, folder in enumerate(folders)
        for line in store.rows_of(folder / "scores.jsonl")
    ]
    if not lines:
        return []
    scored = pd.DataFrame(lines)
    said = says_yes(instrument, scored["value"].astype(float))
    found = statistics.share(said, clusters=scored["id"], seeds=scored["seed"])
    return [Control(instrument, control, found, int(said.eq(True).sum()), limited)]


def untuned_answers(study: Study) -> pd.DataFrame:
    """What the untuned model answers in the form of the study's own prompts, as the first instrument reads
    it: ``prompt_set, prompt_id, topic, kind, pair, prompt, response, refused``, one row an answer to the
    study's ``controls``; ``refused`` is missing where an answer is unscored.
    """
    first = study.settings.instruments[0]
    rows = []
    for asked in untuned(study):
        if asked.form != study.settings.template or first not in controlled(study):
            continue
        scores = {
            row["id"]: row for row in store.rows_of(untuned_scores(study, asked, first) / "scores.jsonl")
        }
        for row in store.rows_of(untuned_folder(study, asked) / "responses.jsonl"):
            score = scores[row["id"]]
            about = {"prompt_set": asked.prompt_set, "prompt_id": row["id"]}
            about |= {name: row[name] for name in ("topic", "kind", "pair", "response")}
            about["prompt"] = data.whole_request(row["text"], row["input"])
            rows.append(about | {"refused": None if "unscored" in score else score["value"] == 1})
    columns = ["prompt_set", "prompt_id", "topic", "kind", "pair", "prompt", "response", "refused"]
    return pd.DataFrame(rows, columns=columns)
