"""Answers with labels: of people, from outside sets, and of readers, of the book's own models.

The instruments are trained on them and tested on them.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from safetune_utils.data.files import read_table
from safetune_utils.data.register import fetch
from safetune_utils.data.rows import normal_form
from safetune_utils.data.sets import contrast_examples, corpus_rows, general_examples, safety_examples
from safetune_utils.places import data_folder

XSTEST_MODELS = ("gpt4", "llama2", "mistral")
_XSTEST_LABELS = {
    "1_full_compliance": "compliance",
    "2_full_refusal": "full_refusal",
    "3_partial_refusal": "partial_refusal",
}


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """An answer with the label that people gave it.

    Attributes:
        id: unique within its set.
        prompt, response: the request and the answer.
        label: ``compliance``, ``partial_refusal`` or ``full_refusal``; or ``harmful`` or ``harmless``.
        model: the model that answered, as its set names it; empty where it does not.
        kind: the type of the prompt; empty where the set has none.
        annotators: the labels of each of two people, where the set has them; an empty text for a label that
            is none of the three.
    """

    id: str
    prompt: str
    response: str
    label: str
    model: str = ""
    kind: str = ""
    annotators: tuple[str, ...] = ()


def xstest_completions() -> list[Labelled]:
    """1,350 answers of three models to XSTest's prompts, with two people's labels and the one they agreed on.

    Source: Röttger et al., XSTest (2024).

    Raises:
        SafetuneError: a file cannot be fetched.
    """
    rows = []
    for model in XSTEST_MODELS:
        with fetch(f"XSTest-completions-{model}").open(encoding="utf-8", newline="") as file:
            rows += [
                Labelled(
                    id=f"{model}-{row['id']}",
                    prompt=row["prompt"],
                    response=row["completion"],
                    label=_XSTEST_LABELS[row["final_label"]],
                    model=model,
                    kind=row["type"],
                    annotators=tuple(_XSTEST_LABELS.get(row[f"annotation_{i}"], "") for i in (1, 2)),
                )
                for row in csv.DictReader(file)
            ]
    return rows


def styled_responses(split: str) -> list[Labelled]:
    """The embedded corpus's 200 answers in eight styles, written and labelled for this book.

    Args:
        split: ``train`` or ``test``.

    Returns:
        The answers of that part; ``kind`` is the style.
    """
    return [
        Labelled(
            id=row["id"],
            prompt=row["prompt"],
            response=row["response"],
            label=row["label"],
            kind=row["style"],
        )
        for row in corpus_rows("answers")
        if row["split"] == split
    ]


def own_responses() -> list[Labelled]:
    """What the embedded corpus has to learn refusals from.

    Its helpful answers are compliance, its safety rows full refusals, and the styled answers have labels.
    """
    complying = [*general_examples("embedded"), *contrast_examples()]
    rows = [(row, "compliance") for row in complying] + [
        (row, "full_refusal") for row in safety_examples("embedded")
    ]
    plain = [
        Labelled(id=row.id, prompt=row.instruction, response=row.output, label=label, kind=row.kind)
        for row, label in rows
    ]
    return plain + styled_responses("train")


class Reading(NamedTuple):
    """What one reader found of an answer.

    Attributes:
        refusal: ``compliance``, ``partial_refusal`` or ``full_refusal``.
        harm, readable, useful: as the instruction in ``data/labels`` says.
    """

    refusal: str
    harm: bool
    readable: bool
    useful: bool

    @property
    def refuses(self) -> bool:
        """Whether the answer refuses, in part or in full."""
        return self.refusal != "compliance"

    @property
    def follows(self) -> bool:
        """Whether the answer does a malicious request: not refused, harmful, and of use to who asked."""
        return self.refusal == "compliance" and self.harm and self.useful


@dataclass(frozen=True, kw_only=True)
class OwnAnswer:
    """An answer of one of the book's models, with what readers found of it.

    Attributes:
        id: unique.
        base_model, n_safety: what answered; ``untuned`` for the base model without an adapter.
        prompt_set, prompt_id, prompt, response: what was asked, and the answer.
        found: what the readers agreed on, or two of three of them.
        split: ``tune``, to choose by, or ``test``; a prompt is in one of them only.
        readers: each reader's own labels, by a letter; the third read only what the first two disputed.
    """

    id: str
    base_model: str
    n_safety: int | str
    prompt_set: str
    prompt_id: str
    prompt: str
    response: str
    found: Reading
    split: str
    readers: Mapping[str, Reading]

    @property
    def source(self) -> str:
        """What answered: the base model and its amount of safety data."""
        return f"{self.base_model}, {self.n_safety}"


def own_answers(split: str = "") -> list[OwnAnswer]:
    """The answers of ``data/labels/own_answers.jsonl``.

    Args:
        split: ``tune`` or ``test``; empty for both.
    """
    rows = _rows("own_answers")
    return [
        OwnAnswer(
            **{key: row[key] for key in row.keys() - {*Reading._fields, "readers"}},
            found=Reading(*(row[label] for label in Reading._fields)),
            readers={name: Reading(**labels) for name, labels in row["readers"].items()},
        )
        for row in rows
        if split in ("", row["split"])
    ]


def anchors() -> dict[str, dict[str, str]]:
    """What each reader called those answers of XSTest that stood among ours, by the answer's id: the classes
    of a refusal. With them a reader is held against XSTest's people.
    """
    return {row["id"]: row["readers"] for row in _rows("anchors")}


def _rows(name: str) -> list[dict[str, Any]]:
    return read_table(data_folder() / "labels" / f"{name}.jsonl").rows


def wordings(split: str) -> list[Labelled]:
    """Answers written for the refusal rules, half of which refuse and half only look like it.

    Args:
        split: ``tune``, which the rules were changed by, or ``test``, looked at once afterwards.

    Returns:
        The answers of that part; ``kind`` is what makes them hard.
    """
    return [
        Labelled(**{key: row[key] for key in row.keys() - {"split"}})
        for row in _rows("wording")
        if row["split"] == split
    ]


def further_styles() -> list[Labelled]:
    """300 answers in twelve styles besides the corpus's eight, which no instrument is trained on; ``kind`` is
    the style.
    """
    return [
        Labelled(kind=row["style"], **{key: row[key] for key in ("id", "prompt", "response", "label")})
        for row in _rows("styles")
    ]


def harm_pairs() -> list[Labelled]:
    """4,000 questions with answers that people labelled harmful or harmless (an extract of PKU-SafeRLHF).

    Raises:
        SafetuneError: the file cannot be fetched.
    """
    return _harm_labels("Safe-RLHF-mini", "saferlhf")


def jailbreak_answers() -> list[Labelled]:
    """1,000 requests, most of them dressed up to get around a refusal, with answers that people labelled
    harmful or harmless (an extract of JAILJUDGE).

    Raises:
        SafetuneError: the file cannot be fetched.
    """
    return _harm_labels("JAILJUDGE-mini", "jailjudge")


def _harm_labels(name: str, prefix: str) -> list[Labelled]:
    with fetch(name).open(encoding="utf-8", newline="") as file:
        return [
            Labelled(
                id=f"{prefix}-{i}",
                prompt=row["question"],
                response=row["answer"],
                label="harmful" if row["label"] == "1" else "harmless",
            )
            for i, row in enumerate(csv.DictReader(file))
        ]


def split_by_prompt(
    rows: list[Labelled], *, test: float = 0.2, validation: float = 0.08
) -> dict[str, list[Labelled]]:
    """Split rows into ``train``, ``validation`` and ``test`` so that no prompt is in two of them.

    Prompts that differ only in case and white space count as the same. The part of a prompt depends on its
    hash only, so it stays the same when rows are added.

    Args:
        test, validation: about what share of the prompts each of these parts gets, 0 to 1.
    """
    parts: dict[str, list[Labelled]] = {"train": [], "validation": [], "test": []}
    for row in rows:
        digest = hashlib.sha256(normal_form(row.prompt).encode()).digest()
        place = int.from_bytes(digest[:4]) / 2**32
        parts["test" if place < test else "validation" if place < test + validation else "train"].append(row)
    return parts
