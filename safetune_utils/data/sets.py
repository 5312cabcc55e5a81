"""Named sets. A *prompt set* has the same name in every source, so that a notebook asks for ``malicious`` and
gets the embedded set, the paper's I-MaliciousInstructions, or a file of the user.

A *source* is ``embedded``, ``paper``, ``paper-sample`` (the paper's own data with a 2,000-row sample of
general data) or a folder of the user with ``general``, ``safety`` and one file for each prompt set, in any
form of :mod:`safetune_utils.data.files`, under any name.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from safetune_utils.data import question_forms
from safetune_utils.data.files import FORMS, Row, is_file_name, read_table
from safetune_utils.data.paper import registered_examples, registered_prompts, with_questions
from safetune_utils.data.prompt_sets import PROMPT_SETS, Held, in_order
from safetune_utils.data.register import registered_sets
from safetune_utils.data.rows import Example, Prompt, as_dataset
from safetune_utils.data.user_rows import AS_IT_IS, has_answers, read_examples, read_prompts
from safetune_utils.errors import SafetuneError, closest
from safetune_utils.places import data_folder
from safetune_utils.settings import Reading, Settings

if TYPE_CHECKING:
    from datasets import Dataset


# Files of a user's folder that are rows to train on.
_TRAINING = ("general", "safety")
# data source -> the general set that it trains on
_PAPER_GENERAL = {"paper": "alpaca-20000", "paper-sample": "alpaca-2000"}


def check_source(source: str) -> None:
    """Raise ``SafetuneError`` where a data source is none of those that have names, and no folder."""
    folder = Path(source).expanduser()
    if source == "embedded" or source in _PAPER_GENERAL or folder.is_dir():
        return
    if folder.is_file():
        raise SafetuneError(
            f"data is {source!r}, which is one file: give a folder with a file general and a file safety, or "
            "name the file in general_data or safety_data"
        )
    named = ("embedded", *_PAPER_GENERAL)
    near = f"did you mean '{meant}'? Choose" if (meant := closest(source, named)) else "choose"
    raise SafetuneError(f"data is {source!r}: {near} {', '.join(named)}, or a folder that exists")


def general_examples(source: str, *, reading: Reading = AS_IT_IS) -> list[Example]:
    """The general rows of a source.

    Args:
        source: a data source; or the path of one file or a Hugging Face id.
        reading: how a user's own files are read.

    Raises:
        SafetuneError: no such source, or its rows cannot be read or fetched.
    """
    if source == "embedded":
        return _embedded_examples("general")
    if source in _PAPER_GENERAL:
        return registered_examples(_PAPER_GENERAL[source])
    return _own_examples(source, "general", reading)


def safety_examples(source: str, *, questions: bool = False, reading: Reading = AS_IT_IS) -> list[Example]:
    """The safety rows of a source.

    Args:
        source: a data source; or the path of one file or a Hugging Face id.
        questions: for the paper's rows, add the question form and leave out rows without one. The paper
            released instructions only; questions are matched in the red-team attempts where that set can be
            fetched, else rewritten by rule, and ``question_origin`` says which.
        reading: how a user's own files are read.

    Raises:
        SafetuneError: no such source, or its rows cannot be read or fetched.
    """
    if source == "embedded":
        return _embedded_examples("safety")
    if source in _PAPER_GENERAL:
        rows = registered_examples("safety-instructions")
        return [row for row in with_questions(rows) if row.question] if questions else rows
    return _own_examples(source, "safety", reading)


def contrast_examples() -> list[Example]:
    """The embedded corpus's harmless training rows with alarming words."""
    return _embedded_examples("contrast")


def prompts(source: str, prompt_set: str, *, reading: Reading = AS_IT_IS) -> list[Prompt]:
    """The prompts of a set in a source; ``reading`` says how a user's own files are read.

    Raises:
        SafetuneError: an unknown prompt set, or one that this source does not have.
    """
    if source == "embedded" or source in _PAPER_GENERAL:
        held = _held(source, prompt_set)
        return _embedded_prompts(held) if source == "embedded" else _paper_prompts(held)
    if prompt_set in _TRAINING:
        raise SafetuneError(f"'{prompt_set}' holds rows to train on: choose another prompt set of {source}")
    return read_prompts(_own_file(source, prompt_set), name=prompt_set, reading=reading)


def prompt_sets_of(settings: Settings) -> list[str]:
    """The prompt sets that a study with these settings can ask: those of its data, and the user's own."""
    return in_order([*available_prompt_sets(settings.data), *settings.own_prompt_sets])


def prompts_of(settings: Settings, prompt_set: str) -> list[Prompt]:
    """The prompts of a set for a study with these settings: the user's own where there is one of that name,
    else those of its data.

    Raises:
        SafetuneError: as for :func:`prompts`, or the user's file cannot be read.
    """
    if own := settings.own_prompt_sets.get(prompt_set):
        changed = {"columns": own.columns} if own.columns else {}
        reading = settings.reading.model_copy(update=changed)
        return read_prompts(own.file, name=prompt_set, reading=reading)
    return prompts(settings.data, prompt_set, reading=settings.reading)


def title_of(settings: Settings, prompt_set: str) -> str:
    """As :func:`set_title`, for a study with these settings: a set of the user's own by its file's name."""
    own = settings.own_prompt_sets.get(prompt_set)
    return Path(own.file).name if own else set_title(settings.data, prompt_set)


def set_title(source: str, prompt_set: str) -> str:
    """The set's name in its source, for tables: ``I-MaliciousInstructions``, ``corpus/malicious`` or
    ``folder/malicious``.
    """
    if source == "embedded":
        return f"corpus/{_held(source, prompt_set).file}"
    if source in _PAPER_GENERAL:
        held = _held(source, prompt_set)
        return held.file + (", rewritten" if held.rewritten else "")
    return f"{Path(source).name}/{prompt_set}"


def n_registered(source: str, prompt_set: str) -> tuple[str, int] | None:
    """The registered set that holds one of the paper's prompt sets, and how many prompts that are, without
    fetching it; ``None`` in another source.
    """
    if source not in _PAPER_GENERAL:
        return None
    held = _held(source, prompt_set)
    return held.file, held.rows or registered_sets()[held.file].rows


def available_prompt_sets(source: str) -> list[str]:
    """The prompt sets that a source has, without reading or fetching them.

    Those of a folder are all its files but ``general`` and ``safety``, by their names without the ending.
    """
    if source == "embedded":
        return [name for name, one in PROMPT_SETS.items() if one.embedded]
    if source in _PAPER_GENERAL:
        return [name for name, one in PROMPT_SETS.items() if one.paper]
    return in_order(name for name in _files(Path(source).expanduser()) if name not in _TRAINING)


def _held(source: str, prompt_set: str) -> Held:
    """Where the embedded corpus or the paper holds a prompt set.

    Raises:
        SafetuneError: it does not.
    """
    entry = PROMPT_SETS.get(prompt_set)
    held = entry and (entry.embedded if source == "embedded" else entry.paper)
    if held is None:
        what = "the embedded corpus" if source == "embedded" else "the paper's data"
        raise SafetuneError(
            f"{what} has no prompt set '{prompt_set}': choose from {', '.join(available_prompt_sets(source))}"
        )
    return held


def load(name: str) -> Dataset:
    """Any one set as a ``datasets.Dataset`` of :class:`Example` or :class:`Prompt` records.

    Args:
        name: ``corpus/safety`` and the like, a name of the register, a file's path or a Hugging Face id. Rows
            with an output are Examples, rows without are Prompts.

    Raises:
        SafetuneError: no such set, or one that has neither (labelled answers, conversations).
    """
    if name.startswith("corpus/"):
        stem = name.removeprefix("corpus/")
        if stem in ("general", "safety", "contrast"):
            return as_dataset(_embedded_examples(stem))
        found = [
            p
            for entry in PROMPT_SETS.values()
            if entry.embedded and entry.embedded.file == stem
            for p in _embedded_prompts(entry.embedded)
        ]
        if not found:
            raise SafetuneError(
                f"'{name}' holds neither rows to train on nor prompts: choose a set of `safetune data list`"
            )
        return as_dataset(found)
    if name in registered_sets():
        entry = registered_sets()[name]
        if entry.form == "training rows":
            return as_dataset(registered_examples(name))
        if entry.form not in ("instructions", "questions"):
            raise SafetuneError(f"{name} holds {entry.form}, which are neither rows to train on nor prompts")
        return as_dataset(registered_prompts(name))
    if is_file_name(name):
        return as_dataset(read_examples(name) if has_answers(read_table(name)) else read_prompts(name))
    raise SafetuneError(
        f"unknown set '{name}': choose one of `safetune data list`, or give a file's path or a Hugging Face "
        "id"
    )


def corpus_rows(name: str) -> list[Row]:
    """The rows of one file of ``data/corpus`` as they are, with the fields that ``data/corpus`` documents.

    Args:
        name: of the file, without ``.jsonl``; see :data:`safetune_utils.data.summary.CORPUS`.

    Raises:
        SafetuneError: no such file.
    """
    return read_table(data_folder() / "corpus" / f"{name}.jsonl").rows


def _embedded_examples(name: str) -> list[Example]:
    kind = {"general": "task", "safety": "style", "contrast": "type"}[name]
    return [
        Example(
            id=row["id"],
            instruction=row["instruction"],
            output=row["output"],
            input=row.get("input", ""),
            question=row.get("question", ""),
            topic=row["topic"],
            kind=row[kind],
        )
        for row in corpus_rows(name)
    ]


def _embedded_prompts(held: Held) -> list[Prompt]:
    return [
        Prompt(
            id=row["id"],
            text=row[held.text],
            topic=row.get("topic", ""),
            kind=row.get("type") or row.get("task", ""),
            label=row.get("label", ""),
            pair=row.get("pair", ""),
        )
        for row in corpus_rows(held.file)
        if not held.label or row["label"] == held.label
    ]


def _paper_prompts(held: Held) -> list[Prompt]:
    found = [p for p in registered_prompts(held.file) if not held.label or p.label == held.label]
    if not held.rewritten:
        return found
    asked = [(prompt, question_forms.as_opinion(prompt.text)) for prompt in found]
    return [
        Prompt(id=p.id, text=opinion.text, topic=p.topic, pair=p.id, origin="rewritten")
        for p, opinion in asked
        if opinion
    ]


def _own_examples(source: str, name: str, reading: Reading) -> list[Example]:
    if not Path(source).expanduser().is_dir() and is_file_name(source):
        return read_examples(source, name=name, reading=reading)
    return read_examples(_own_file(source, name), name=name, reading=reading)


def _own_file(source: str, name: str) -> Path:
    folder = Path(source).expanduser()
    check_source(source)
    found = _files(folder).get(name)
    if not found:
        raise SafetuneError(
            f"{folder} has no {name}.jsonl (or {', '.join(FORMS[1:])}): add it, or leave out what needs it"
        )
    return found


def _files(folder: Path) -> dict[str, Path]:
    """The files of a folder that can be read, by their names without the ending; of two with one name the
    first form that is named in :data:`safetune_utils.data.files.FORMS`.
    """
    found: dict[str, Path] = {}
    paths = [path for path in sorted(folder.glob("*")) if path.is_file()]
    for form in FORMS:
        for ending in (form, f"{form}.gz"):
            for path in paths:
                if path.name.lower().endswith(ending):
                    found.setdefault(path.name[: -len(ending)], path)
    return found
