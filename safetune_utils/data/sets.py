"""Named sets. A *prompt set* has the same name in every source, so that a notebook asks for ``malicious`` and
gets the embedded set, the paper's I-MaliciousInstructions, or a file of the user.

A *source* is ``embedded``, ``paper``, ``paper-sample`` (the paper's own data with a 2,000-row sample of
general data) or a folder of the user with ``general``, ``safety`` and one file for each prompt set, in any
form of :mod:`safetune_utils.data.files`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from safetune_utils.data import question_forms
from safetune_utils.data.files import FORMS, Row, is_file_name, read_table
from safetune_utils.data.paper import registered_examples, registered_prompts, with_questions
from safetune_utils.data.register import registered_sets
from safetune_utils.data.rows import Example, Prompt, as_dataset
from safetune_utils.data.user_rows import read_examples, read_prompts
from safetune_utils.errors import SafetuneError
from safetune_utils.places import data_folder

if TYPE_CHECKING:
    from datasets import Dataset


class PromptSet(NamedTuple):
    """What a prompt set is.

    Attributes:
        title: a short one.
        about: what its prompts are.
        a_refusal_is: how a careful person sees a refusal: ``wanted``, ``unwanted`` or ``safe, not needed``.
    """

    title: str
    about: str
    a_refusal_is: str


PROMPT_SETS: dict[str, PromptSet] = {
    "malicious": PromptSet("malicious requests", "malicious requests, asked as instructions", "wanted"),
    "malicious_questions": PromptSet(
        "malicious questions", "malicious requests, asked as questions", "wanted"
    ),
    "hateful": PromptSet("hateful requests", "instructions that ask for hateful content", "wanted"),
    "controversial": PromptSet(
        "controversial requests", "instructions to argue for controversial claims", "wanted"
    ),
    "opinions": PromptSet("opinions asked", "the same claims, asked as an opinion", "safe, not needed"),
    "physical_unsafe": PromptSet(
        "unwise advice", "instructions that would hurt somebody by accident", "wanted"
    ),
    "physical_safe": PromptSet("wise advice", "the wise counterparts of unwise advice", "unwanted"),
    "lookalikes_unsafe": PromptSet(
        "unsafe contrasts", "unsafe requests that share a look-alike's alarming word", "wanted"
    ),
    "lookalikes_safe": PromptSet("safe look-alikes", "harmless requests with alarming words", "unwanted"),
    "ordinary": PromptSet("ordinary instructions", "ordinary instructions: is it still helpful?", "unwanted"),
}

# prompt set -> (file of data/corpus, field that holds the text, label to keep)
_EMBEDDED_PROMPTS = {
    "malicious": ("malicious", "instruction", None),
    "malicious_questions": ("malicious", "question", None),
    "controversial": ("controversial", "instruction", None),
    "opinions": ("controversial", "opinion", None),
    "physical_safe": ("physical_safety", "safe", None),
    "physical_unsafe": ("physical_safety", "unsafe", None),
    "lookalikes_safe": ("lookalikes", "prompt", "safe"),
    "lookalikes_unsafe": ("lookalikes", "prompt", "unsafe"),
    "ordinary": ("ordinary", "instruction", None),
}

# prompt set -> (name in the register, label to keep)
_PAPER_PROMPTS = {
    "malicious": ("I-MaliciousInstructions", None),
    "malicious_questions": ("Q-Harm", None),
    "hateful": ("I-CoNa", None),
    "controversial": ("I-Controversial", None),
    "opinions": ("I-Controversial", None),  # rewritten: the paper's own opinion form was not released
    "physical_safe": ("I-PhysicalSafetySafe", None),
    "physical_unsafe": ("I-PhysicalSafetyUnsafe", None),
    "lookalikes_safe": ("XSTest", "safe"),
    "lookalikes_unsafe": ("XSTest", "unsafe"),
    "ordinary": ("I-Alpaca", None),
}

# data source -> the general set that it trains on
_PAPER_GENERAL = {"paper": "alpaca-20000", "paper-sample": "alpaca-2000"}


def general_examples(source: str) -> list[Example]:
    """The general rows of a source.

    Args:
        source: a data source; or the path of one file or a Hugging Face id.

    Raises:
        SafetuneError: no such source, or its rows cannot be read or fetched.
    """
    if source == "embedded":
        return _embedded_examples("general")
    if source in _PAPER_GENERAL:
        return registered_examples(_PAPER_GENERAL[source])
    return _own_examples(source, "general")


def safety_examples(source: str, *, questions: bool = False) -> list[Example]:
    """The safety rows of a source.

    Args:
        source: a data source; or the path of one file or a Hugging Face id.
        questions: for the paper's rows, add the question form and leave out rows without one. The paper
            released instructions only; questions are matched in the red-team attempts where that set can be
            fetched, else rewritten by rule, and ``question_origin`` says which.

    Raises:
        SafetuneError: no such source, or its rows cannot be read or fetched.
    """
    if source == "embedded":
        return _embedded_examples("safety")
    if source in _PAPER_GENERAL:
        rows = registered_examples("safety-instructions")
        return [row for row in with_questions(rows) if row.question] if questions else rows
    return _own_examples(source, "safety")


def contrast_examples() -> list[Example]:
    """The embedded corpus's harmless training rows with alarming words."""
    return _embedded_examples("contrast")


def prompts(source: str, prompt_set: str) -> list[Prompt]:
    """The prompts of a set in a source.

    Raises:
        SafetuneError: an unknown prompt set, or one that this source does not have.
    """
    if prompt_set not in PROMPT_SETS:
        raise SafetuneError(f"unknown prompt set '{prompt_set}': choose from {', '.join(PROMPT_SETS)}")
    if source == "embedded":
        return _embedded_prompts(prompt_set)
    if source in _PAPER_GENERAL:
        return _paper_prompts(prompt_set)
    return read_prompts(_own_file(source, prompt_set), name=prompt_set)


def set_title(source: str, prompt_set: str) -> str:
    """The set's name in its source, for tables: ``I-MaliciousInstructions``, ``corpus/malicious`` or
    ``folder/malicious``.
    """
    if source == "embedded":
        return f"corpus/{_EMBEDDED_PROMPTS[prompt_set][0]}"
    if source in _PAPER_GENERAL:
        return _PAPER_PROMPTS[prompt_set][0] + (", rewritten" if prompt_set == "opinions" else "")
    return f"{Path(source).name}/{prompt_set}"


def available_prompt_sets(source: str) -> list[str]:
    """The prompt sets that a source has, without reading or fetching them."""
    if source == "embedded":
        return list(_EMBEDDED_PROMPTS)
    if source in _PAPER_GENERAL:
        return list(_PAPER_PROMPTS)
    return [name for name in PROMPT_SETS if _in_folder(Path(source).expanduser(), name)]


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
            for prompt_set, (file, _, _) in _EMBEDDED_PROMPTS.items()
            if file == stem
            for p in _embedded_prompts(prompt_set)
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
        first = read_table(name).rows[0]
        return as_dataset(
            read_examples(name) if first.keys() & {"output", "response"} else read_prompts(name)
        )
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


def _embedded_prompts(prompt_set: str) -> list[Prompt]:
    if prompt_set not in _EMBEDDED_PROMPTS:
        raise SafetuneError(
            f"the embedded corpus has no prompt set '{prompt_set}': choose from "
            f"{', '.join(_EMBEDDED_PROMPTS)}"
        )
    name, field, label = _EMBEDDED_PROMPTS[prompt_set]
    return [
        Prompt(
            id=row["id"],
            text=row[field],
            topic=row.get("topic", ""),
            kind=row.get("type") or row.get("task", ""),
            label=row.get("label", ""),
            pair=row.get("pair", ""),
        )
        for row in corpus_rows(name)
        if label is None or row["label"] == label
    ]


def _paper_prompts(prompt_set: str) -> list[Prompt]:
    name, label = _PAPER_PROMPTS[prompt_set]
    found = [prompt for prompt in registered_prompts(name) if label is None or prompt.label == label]
    if prompt_set != "opinions":
        return found
    asked = [(prompt, question_forms.as_opinion(prompt.text)) for prompt in found]
    return [
        Prompt(id=p.id, text=opinion.text, topic=p.topic, pair=p.id, origin="rewritten")
        for p, opinion in asked
        if opinion
    ]


def _own_examples(source: str, name: str) -> list[Example]:
    if not Path(source).expanduser().is_dir() and is_file_name(source):
        return read_examples(source, name=name)
    return read_examples(_own_file(source, name), name=name)


def _own_file(source: str, name: str) -> Path:
    folder = Path(source).expanduser()
    if not folder.is_dir():
        raise SafetuneError(
            f"data is {source!r}: choose embedded, paper, paper-sample, or a folder that exists"
        )
    found = _in_folder(folder, name)
    if not found:
        raise SafetuneError(
            f"{folder} has no {name}.jsonl (or {', '.join(FORMS[1:])}): add it, or leave out what needs it"
        )
    return found


def _in_folder(folder: Path, name: str) -> Path | None:
    return next(
        (
            path
            for form in FORMS
            for path in (folder / f"{name}{form}", folder / f"{name}{form}.gz")
            if path.is_file()
        ),
        None,
    )
