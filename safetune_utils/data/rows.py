"""The two record types that leave this room: a row to train on and a request to test with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True, kw_only=True)
class Example:
    """A row to train on. ``question`` is the same request as ``instruction`` asked as a question, or empty."""

    id: str
    instruction: str
    output: str
    input: str = ""
    question: str = ""
    question_origin: str = (
        ""  # "" as its authors wrote it, "red-team attempts" (matched), "rewritten" (by rule)
    )
    topic: str = ""
    kind: str = ""  # the task of a general row, the style of a safety row, the type of a contrast row


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """A request to test with. ``label`` is ``safe`` or ``unsafe`` where the set says so, else empty."""

    id: str
    text: str
    input: str = ""
    topic: str = ""
    kind: str = ""  # the type of a look-alike, the task of an ordinary instruction
    label: str = ""
    pair: str = ""
    origin: str = ""  # "" as its authors wrote it, "rewritten" (by rule, from another form)

    @property
    def request(self) -> str:
        """What is asked, whatever the form: two forms of one request share it, by one id or by a pair that
        names it.
        """
        return self.pair or self.id


def as_dataset(rows: Sequence[Example] | Sequence[Prompt]) -> Dataset:
    """Records as a ``datasets.Dataset`` with one text column a field, in the order of the record type.

    Raises:
        ValueError: no rows, so that the columns are not known.
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
    """sha256 over the content of records, in order; the name that later stages know a set by."""
    digest = hashlib.sha256()
    for row in rows:
        content = row if isinstance(row, dict) else vars(row)
        digest.update(json.dumps(content, sort_keys=True, ensure_ascii=False).encode())
        digest.update(b"\n")
    return digest.hexdigest()
