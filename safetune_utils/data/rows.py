"""The two record types of all data: a row to train on and a request to test with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from rapidfuzz import utils

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True, kw_only=True)
class Example:
    """A row to train on; an entry that a row does not have is an empty text.

    Attributes:
        id: unique within its set.
        instruction, input: the request, and the text that it is about.
        output: the answer.
        question: the same request, asked as a question.
        question_origin: empty where the question's authors wrote it, ``red-team attempts`` where it was
            matched, ``rewritten`` where a rule wrote it.
        topic: what the request is about.
        kind: the task of a general row, the style of a safety row, the type of a contrast row.
    """

    id: str
    instruction: str
    output: str
    input: str = ""
    question: str = ""
    question_origin: str = ""
    topic: str = ""
    kind: str = ""


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """A request to test with; an entry that a prompt does not have is an empty text.

    Attributes:
        id: unique within its set.
        text, input: the request, and the text that it is about.
        topic: what the request is about.
        kind: the type of a look-alike, the task of an ordinary instruction.
        label: ``safe`` or ``unsafe``, where the set says so.
        pair: the id of the same request in another form, or a name that both forms have.
        origin: empty where its authors wrote it, ``rewritten`` where a rule wrote it from another form.
    """

    id: str
    text: str
    input: str = ""
    topic: str = ""
    kind: str = ""
    label: str = ""
    pair: str = ""
    origin: str = ""

    @property
    def request(self) -> str:
        """The name of what is asked: two forms of one request have the same, by their id or by their pair."""
        return self.pair or self.id

    @property
    def asked(self) -> str:
        """All that is asked, as one text, see :func:`whole_request`."""
        return whole_request(self.text, self.input)


def whole_request(instruction: str, input: str) -> str:
    """A request as one text: the instruction, and the text that it is about below it, a blank line between
    them, where there is one. It is what instruments, judges and people see.
    """
    return f"{instruction}\n\n{input}" if input.strip() else instruction


def normal_form(text: str, *, punctuation: bool = True) -> str:
    """A text by which two requests count as the same: in lower case, with one space between words.

    Without ``punctuation`` each character that is neither a letter nor a digit counts as a space.
    """
    return " ".join((text.lower() if punctuation else utils.default_process(text)).split())


def as_dataset(rows: Sequence[Example] | Sequence[Prompt]) -> Dataset:
    """Records as a ``datasets.Dataset`` with one text column for each field, in the order of the record type.

    Raises:
        ValueError: there are no rows, so the columns are not known.
    """
    from datasets import Dataset, Features, Value

    if not rows:
        raise ValueError("no rows: a dataset needs at least one record")
    names = [field.name for field in fields(rows[0])]
    return Dataset.from_dict(
        {name: [getattr(row, name) for row in rows] for name in names},
        features=Features({name: Value("string") for name in names}),
    )


def content_hash(rows: Iterable[Any]) -> str:
    """sha256, in hexadecimal, of the content of records in their order: by it a later stage knows a set.

    Args:
        rows: dataclass instances or dictionaries.
    """
    digest = hashlib.sha256()
    for row in rows:
        content = row if isinstance(row, dict) else vars(row)
        digest.update(json.dumps(content, sort_keys=True, ensure_ascii=False).encode())
        digest.update(b"\n")
    return digest.hexdigest()
