"""What there is: every set with its whereabouts and its shape, and what the training and the test sets share."""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

from safetune_utils.data.files import read_table
from safetune_utils.data.leakage import overlap
from safetune_utils.data.register import (
    OutsideSet,
    benchmarks,
    fetch,
    not_released,
    registered_sets,
    whereabouts,
)
from safetune_utils.data.sets import (
    available_prompt_sets,
    contrast_examples,
    corpus_rows,
    general_examples,
    prompts,
    safety_examples,
    set_title,
)
from safetune_utils.errors import SafetuneError
from safetune_utils.places import data_folder


class CorpusFile(NamedTuple):
    """What a file of ``data/corpus`` is for, and which of its fields hold the requests, the answers and the
    topics.
    """

    tests: str
    request: str
    answer: str | None
    topics: str


CORPUS = {
    "general": CorpusFile("to train on: ordinary instructions with answers", "instruction", "output", "task"),
    "safety": CorpusFile(
        "to train on: unsafe requests in both forms, with safe answers", "instruction", "output", "topic"
    ),
    "contrast": CorpusFile(
        "to train on, chapter 10 only: harmless requests with alarming words, answered",
        "instruction",
        "output",
        "type",
    ),
    "questions": CorpusFile(
        "to draft new safety data from: unsafe questions without answers", "question", None, "topic"
    ),
    "malicious": CorpusFile(
        "malicious requests, as instructions and as questions", "instruction", None, "topic"
    ),
    "controversial": CorpusFile(
        "controversial claims, as instructions and as opinions", "instruction", None, "topic"
    ),
    "physical_safety": CorpusFile(
        "physical-safety common sense, wise and unwise side", "unsafe", None, "topic"
    ),
    "lookalikes": CorpusFile(
        "exaggerated safety: safe look-alikes and unsafe contrasts", "prompt", None, "type"
    ),
    "ordinary": CorpusFile(
        "ordinary instructions with a reference answer", "instruction", "reference", "task"
    ),
    "answers": CorpusFile(
        "instruments: answers in eight styles, labelled by whether they refuse", "prompt", "response", "style"
    ),
    "four_choice": CorpusFile("capability: questions with four choices", "question", None, "subject"),
}

# Fields that say what a row is about, the first that a set has; and those that hold requests and answers.
_TOPICS = ("topic", "style", "subcategory", "type", "final_label", "label", "dataset")
_REQUESTS = ("instruction", "prompt", "question")
_ANSWERS = ("output", "completion", "response", "chosen", "answer")


class Shape(NamedTuple):
    """A set in numbers, with none of its text.

    ``prompt_words`` and ``answer_words`` say how many rows have so many words; ``topics`` how many rows have
    each topic, or, where the set names none (``topics_are`` says so), begin with each word.
    """

    rows: int
    distinct: int
    prompt_words: dict[int, int]
    answer_words: dict[int, int]
    topics: dict[str, int]
    topics_are: str


def listing() -> list[dict[str, Any]]:
    """Every set: ``name, where, rows, size, licence, tests``; ``size`` in words, rows as a number or
    ``None``.

    ``where`` is ``embedded``, ``cached``, ``mirror``, ``not on the mirror``, ``reachable``, ``out of reach``,
    ``by lm-eval`` (it downloads and scores the benchmark itself) or ``not released``.
    """
    found: list[dict[str, Any]] = []
    for name, file in CORPUS.items():
        size = (data_folder() / "corpus" / f"{name}.jsonl").stat().st_size
        found.append(
            {
                "name": f"corpus/{name}",
                "where": "embedded",
                "rows": len(corpus_rows(name)),
                "size": _size(size),
                "licence": "CC-BY-4.0",
                "tests": file.tests,
            }
        )
    where = whereabouts()
    for entry in registered_sets().values():
        found.append(
            {
                "name": entry.name,
                "where": where[entry.name],
                "rows": entry.rows,
                "size": _size(entry.bytes),
                "licence": entry.licence,
                "tests": entry.tests,
            }
        )
    for entry in benchmarks():
        found.append(
            {
                "name": entry["name"],
                "where": "by lm-eval",
                "rows": None,
                "size": "",
                "licence": entry["licence"],
                "tests": entry["tests"],
            }
        )
    for entry in not_released():
        found.append(
            {
                "name": entry["name"],
                "where": "not released",
                "rows": None,
                "size": "",
                "licence": "",
                "tests": entry["tests"],
            }
        )
    return found


def overlaps(source: str) -> list[dict[str, Any]]:
    """What each training set of a source shares with each of its prompt sets.

    One row a pair: ``train, test, title`` (of the test set at its source), ``prompts`` (how many), ``exact``
    and ``near`` (prompts that are trained on), ``highest`` (similarity 0–100), and ``test_ids`` of the
    prompts found.
    """
    training = {"general": general_examples(source), "safety": safety_examples(source)}
    if source == "embedded":
        training["contrast"] = contrast_examples()
    elif source.startswith("paper"):
        training["safety, as questions"] = safety_examples(source, questions=True)
    found = []
    for train, rows in training.items():
        for name in available_prompt_sets(source):
            shared = overlap(rows, prompts(source, name))
            found.append(
                {
                    "train": train, "test": name, "title": set_title(source, name), "prompts": shared.n_test,
                    "exact": len(shared.exact), "near": len(shared.near), "highest": shared.highest,
                    "test_ids": [copy.test_id for copy in shared.copies],
                }
            )  # fmt: skip
    return found


def corpus_shape(name: str) -> Shape:
    """The shape of a file of ``data/corpus``."""
    file = CORPUS[name]
    return _shape(corpus_rows(name), file.request, file.answer, file.topics)


def outside_shape(entry: OutsideSet) -> Shape:
    """The shape of a registered set, which is fetched for it.

    Raises:
        SafetuneError: the set cannot be had, or its rows are conversations.
    """
    rows = read_table(fetch(entry.name)).rows
    request = next((name for name in _REQUESTS if name in rows[0]), None)
    if request is None:
        raise SafetuneError(f"{entry.name} holds {entry.form}, which have no single request")
    field = next((name for name in _TOPICS if any(row.get(name) not in (None, "") for row in rows)), None)
    return _shape(rows, request, next((name for name in _ANSWERS if name in rows[0]), None), field)


def _shape(rows: list[dict[str, Any]], request: str, answer: str | None, field: str | None) -> Shape:
    if field:
        topics = Counter(str(row[field]).strip() for row in rows if row.get(field) not in (None, ""))
    else:
        topics = Counter(row[request].split()[0].strip(",.:").lower() for row in rows)
    return Shape(
        rows=len(rows),
        distinct=len({(row[request], row.get("input") or "") for row in rows}),
        prompt_words=_words(row[request] for row in rows),
        answer_words=_words(row[answer] for row in rows) if answer else {},
        topics=dict(topics.most_common()),
        topics_are=field or "first words",
    )


def _words(texts: Any) -> dict[int, int]:
    return dict(sorted(Counter(len(text.split()) for text in texts).items()))


def _size(n_bytes: int | None) -> str:
    return (
        "" if n_bytes is None else f"{n_bytes / 1e6:.1f} MB" if n_bytes >= 1e6 else f"{n_bytes / 1e3:.0f} kB"
    )
