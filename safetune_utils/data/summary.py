"""All sets: where they are, their shape in numbers, and what training and test sets have in common."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple, TypedDict

from safetune_utils.data.files import Row, read_table
from safetune_utils.data.leakage import overlap
from safetune_utils.data.prompt_sets import PROMPT_SETS
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
    """What a file of ``data/corpus`` is for, and which of its fields has the requests, answers and topics.

    ``answer`` is ``None`` where the file has no answers.
    """

    tests: str
    request: str
    answer: str | None
    topics: str


_DESCRIBED = {
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

# A file of prompts that is described nowhere else is what its prompt sets ask.
CORPUS = _DESCRIBED | {
    held.file: CorpusFile(entry.about, held.text, None, "topic")
    for entry in PROMPT_SETS.values()
    if (held := entry.embedded) and held.file not in _DESCRIBED
}

# Fields of outside sets, of which the first that a set has is used: what a row is about, requests, answers.
_TOPICS = ("topic", "style", "subcategory", "type", "final_label", "label", "dataset")
_REQUESTS = ("instruction", "prompt", "question")
_ANSWERS = ("output", "completion", "response", "chosen", "answer")


class Shape(NamedTuple):
    """A set in numbers, with none of its text.

    Attributes:
        rows: how many there are.
        distinct: how many different requests there are.
        prompt_words, answer_words: number of words -> how many requests, or answers, have so many.
        topics: topic -> how many rows have it, most frequent first; first word -> how many requests begin
            with it, where the set names no topics.
        topics_are: the field of the topics, or ``first words``.
    """

    rows: int
    distinct: int
    prompt_words: dict[int, int]
    answer_words: dict[int, int]
    topics: dict[str, int]
    topics_are: str


class ListedSet(TypedDict):
    """A set in a list.

    Attributes:
        name: for :func:`safetune_utils.data.sets.load`, where it can be read.
        where: ``embedded``, ``cached``, ``mirror``, ``not on the mirror``, ``reachable``, ``out of reach``,
            ``by lm-eval`` (which downloads and scores the benchmark itself) or ``not released``.
        rows: how many there are; ``None`` where that is not known.
        size: with its unit, such as ``1.5 MB`` (10^6 bytes); empty where it is not known.
        licence: empty where the set was not released.
        tests: what the set is for.
    """

    name: str
    where: str
    rows: int | None
    size: str
    licence: str
    tests: str


class SharedPrompts(TypedDict):
    """What a training set and a prompt set have in common.

    Attributes:
        train, test: the two sets.
        title: of the prompt set at its source.
        prompts: how many prompts it has.
        exact, near: how many of them are trained on, see :func:`safetune_utils.data.leakage.overlap`.
        highest: the highest similarity of any pair, 0 to 100.
        test_ids: of the exact and near prompts.
    """

    train: str
    test: str
    title: str
    prompts: int
    exact: int
    near: int
    highest: float
    test_ids: list[str]


def listing() -> list[ListedSet]:
    """Every set: the corpus, the register, the sets of lm-evaluation-harness, and what was not released."""
    found: list[ListedSet] = []
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
    for benchmark in benchmarks():
        found.append(
            {
                "name": benchmark["name"],
                "where": "by lm-eval",
                "rows": None,
                "size": "",
                "licence": benchmark["licence"],
                "tests": benchmark["tests"],
            }
        )
    for missing in not_released():
        found.append(
            {
                "name": missing["name"],
                "where": "not released",
                "rows": None,
                "size": "",
                "licence": "",
                "tests": missing["tests"],
            }
        )
    return found


def overlaps(source: str) -> list[SharedPrompts]:
    """What each training set of a source has in common with each of its prompt sets, one row a pair.

    Raises:
        SafetuneError: no such source, or its rows cannot be read or fetched.
    """
    training = {"general": general_examples(source), "safety": safety_examples(source)}
    if source == "embedded":
        training["contrast"] = contrast_examples()
    elif source.startswith("paper"):
        training["safety, as questions"] = safety_examples(source, questions=True)
    found: list[SharedPrompts] = []
    for train, rows in training.items():
        for name in available_prompt_sets(source):
            shared = overlap(rows, prompts(source, name))
            found.append(
                {
                    "train": train,
                    "test": name,
                    "title": set_title(source, name),
                    "prompts": shared.n_test,
                    "exact": len(shared.exact),
                    "near": len(shared.near),
                    "highest": shared.highest,
                    "test_ids": [copy.test_id for copy in shared.copies],
                }
            )
    return found


def corpus_shape(name: str) -> Shape:
    """The shape of a file of ``data/corpus``, one of :data:`CORPUS`."""
    file = CORPUS[name]
    return _shape(corpus_rows(name), file.request, file.answer, file.topics)


def outside_shape(entry: OutsideSet) -> Shape:
    """The shape of a registered set, which is fetched for it.

    Raises:
        SafetuneError: the set cannot be fetched, or its rows are conversations.
    """
    rows = read_table(fetch(entry.name)).rows
    request = next((name for name in _REQUESTS if name in rows[0]), None)
    if request is None:
        raise SafetuneError(f"{entry.name} holds {entry.form}, which have no single request")
    field = next((name for name in _TOPICS if any(row.get(name) not in (None, "") for row in rows)), None)
    return _shape(rows, request, next((name for name in _ANSWERS if name in rows[0]), None), field)


def _shape(rows: list[Row], request: str, answer: str | None, field: str | None) -> Shape:
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


def _words(texts: Iterable[str]) -> dict[int, int]:
    return dict(sorted(Counter(len(text.split()) for text in texts).items()))


def _size(n_bytes: int | None) -> str:
    if n_bytes is None:
        return ""
    return f"{n_bytes / 1e6:.1f} MB" if n_bytes >= 1e6 else f"{n_bytes / 1e3:.0f} kB"
