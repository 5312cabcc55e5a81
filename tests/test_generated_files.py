"""Files that nobody wrote: each is read, or refused in one line that names it, by every reader of files and
replies from outside. A few hundred of them in `make test`, twenty thousand in `make check`.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from safetune_utils import data, strict_json
from safetune_utils.annotation import page
from safetune_utils.book import findings
from safetune_utils.book.notebook_file import read_notebook
from safetune_utils.data import outputs
from safetune_utils.errors import SafetuneError
from safetune_utils.generation import response_files
from safetune_utils.scoring import moderation
from safetune_utils.scoring.language import other_language
from safetune_utils.services import chat, http
from safetune_utils.settings import Reading

FEW, MANY = 300, 20_000


def some_of(share: float) -> pytest.MarkDecorator:
    """A test with its share of a few hundred files, and of twenty thousand."""
    many = pytest.param(round(share * MANY), id="many", marks=pytest.mark.slow)
    return pytest.mark.parametrize("n", [pytest.param(round(share * FEW), id="few"), many])


def checked(strategy: st.SearchStrategy[Any], check: Callable[[Any], None], n: int) -> None:
    """Let a check hold for so many values, the same ones each time."""
    always = settings(
        max_examples=n,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    always(given(strategy)(check))()


def read_or_refused(read: Callable[[], Any], path: Path) -> Any:
    """What was read, or ``None`` where the file was refused in one line that names it."""
    try:
        return read()
    except SafetuneError as error:
        said = str(error)
    assert str(path) in said
    assert "\n" not in said
    return None


# Names and words that mean something to a reader, and some that do not.
COLUMNS = [
    "instruction", "prompt", "text", "question", "input", "output", "response", "completion", "messages",
    "conversations", "id", "topic", "type", "label", "instructions", "inputs", "outputs", "goal",
    "disarmed_by_safetune", "", " output",
]  # fmt: skip
FIELDS = [
    "notebooks", "settings", "made", "adapters", "numbers", "form", "items", "nbformat", "metadata", "cells",
    "choices", "message", "usage", "model", "results", "flagged", "category_scores", "key", "request",
]  # fmt: skip
WORDS = [
    "", " ", "nan", "None", "Slice it.", "user", "assistant", "=1+1", "-0.03", "a,b", "a;b", 'say "so"',
    "two\nlines", "\u2028", "é", "\ud83d", "\x00", "\ufeff", "'",
]  # fmt: skip

texts = st.sampled_from(WORDS) | st.text(max_size=8)
scalars = texts | st.none() | st.booleans() | st.integers(-9, 9) | st.floats() | st.just(10**120)
turn = st.fixed_dictionaries(
    {},
    optional={
        "role": st.sampled_from(["user", "assistant", "system", "tool"]),
        "from": st.sampled_from(["human", "gpt", "x"]),
        "content": texts | st.lists(st.just({"type": "text", "text": "a"}), max_size=2) | scalars,
        "value": texts,
    },
)
turns = st.lists(turn, max_size=4)
keys = st.sampled_from(COLUMNS + FIELDS) | texts
values = st.recursive(
    scalars | turns,
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(keys, inside, max_size=3),
    max_leaves=4,
)
# Rows as they should be, so that something is read, and rows of anything.
words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
good = st.fixed_dictionaries({"instruction": words, "output": words}, optional={"input": texts, "id": words})
spoken = st.fixed_dictionaries({"messages": st.just([{"role": "user", "content": "Dice it."}]) | turns})
odd = st.dictionaries(st.sampled_from(COLUMNS), texts | values, min_size=1, max_size=4)
rows = st.one_of(*(st.lists(row, min_size=1, max_size=4) for row in (good, good, spoken, good | odd)))
original = st.dictionaries(st.sampled_from(COLUMNS), st.lists(texts, max_size=3) | values, max_size=4)


class Made(NamedTuple):
    """A file that was made: its name and its bytes."""

    name: str
    content: bytes


@st.composite
def tables(draw: st.DrawFn) -> str:
    """A table in text: fields that are quoted or not, and rows that may be a field short or long."""
    header = draw(st.lists(st.sampled_from(COLUMNS[:8]) | keys, min_size=1, max_size=4))
    lines = [header]
    for _ in range(draw(st.integers(0, 4))):
        n = len(header) + draw(st.sampled_from([0, 0, 0, 0, 1, -1]))
        lines.append([draw(texts) for _ in range(n)])
    if draw(st.booleans()):
        lines = [[f'"{cell.replace(chr(34), chr(34) * 2)}"' for cell in line] for line in lines]
    separator = draw(st.sampled_from([",", ";", "\t", "|"]))
    return draw(st.sampled_from(["", "", "sep=;\n"])) + "\r\n".join(map(separator.join, lines))


@st.composite
def made_files(draw: st.DrawFn) -> Made:
    """A file of rows in any form: right, damaged, or of bytes alone."""
    form, text = draw(
        st.tuples(st.just(".jsonl"), rows.map(lambda made: "\n".join(map(json.dumps, made))))
        | st.tuples(st.just(".json"), st.one_of(rows, original, values).map(json.dumps))
        | st.tuples(st.sampled_from([".csv", ".tsv", ".CSV"]), tables())
        | st.tuples(st.sampled_from([".parquet", ".txt"]), texts)
    )
    encoding = draw(st.sampled_from(["utf-8"] * 8 + ["utf-8-sig", "utf-16", "utf-16-le"]))
    content = text.encode(encoding, "replace")
    place = draw(st.integers(0, len(content)))
    match draw(st.sampled_from(["whole"] * 12 + ["cut", "changed", "twice", "bytes", "parquet"])):
        case "cut":
            content = content[:place]
        case "changed":
            content = content[:place] + draw(st.binary(min_size=1, max_size=2)) + content[place + 1 :]
        case "twice":
            content += content
        case "bytes":
            content = draw(st.binary(max_size=60))
        case "parquet":
            form, content = ".parquet", as_parquet(draw(rows))
    if draw(st.sampled_from([True] + [False] * 7)):
        return Made(f"made{form}.gz", draw(st.sampled_from([gzip.compress(content, mtime=0), content])))
    return Made(f"made{form}", content)


def as_parquet(made: list[dict[str, Any]]) -> bytes:
    file = io.BytesIO()
    with contextlib.suppress(Exception):  # values that no such file can hold
        pd.DataFrame(made).to_parquet(file)
    return file.getvalue()


@some_of(0.5)
def test_every_made_file_of_rows_is_read_as_texts_or_refused_in_one_line(n: int, tmp_path: Path) -> None:
    read = dict.fromkeys(("a table", "to train on", "prompts", "responses"), 0)
    said = Reading(columns={"instruction": "goal"}, words_for_nothing="drop")

    def check(file: Made) -> None:
        path = tmp_path / file.name
        path.write_bytes(file.content)
        table = read_or_refused(lambda: data.read_table(path), path)
        examples = read_or_refused(lambda: data.read_examples(path), path)
        prompts = read_or_refused(lambda: data.read_prompts(path), path)
        responses = read_or_refused(lambda: response_files.read_responses(path), path)
        read_or_refused(lambda: data.read_prompts(path, reading=said), path)
        for name, found in zip(read, (table, examples, prompts, responses), strict=True):
            read[name] += found is not None
        assert table is not None or examples is prompts is responses is None
        for row in examples or []:
            assert all(isinstance(text, str) for text in vars(row).values())
            assert row.instruction.strip()
            assert row.output.strip()
            assert row.input == "" or row.input.strip()
        for prompt in prompts or []:
            assert prompt.text.strip()
            other_language(prompt.asked)
        if examples is not None:
            assert len(examples) == len(table.rows)
            assert len({(row.instruction, row.input, row.output) for row in examples}) == len(examples)

    checked(made_files(), check, n)
    # A part of them is read by each, else all this would show little.
    assert all(count > n / 20 for count in read.values()), read


EXPORT = "safetune review 1"
SERVICE = chat.Service(base_url="http://127.0.0.1:1/v1", model="a")

number = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("value", "low", "high", "n", "unit", "x"), scalars)
)
numbers = st.dictionaries(texts, number, max_size=2) | values
outcome = st.fixed_dictionaries(
    dict.fromkeys(("settings", "made", "adapters"), st.just({}) | values) | {"numbers": numbers}
)
run = st.fixed_dictionaries({"notebooks": st.dictionaries(texts, outcome | values, max_size=2) | values})
cell_fields = ("cell_type", "source", "outputs", "metadata", "id")
cell = st.fixed_dictionaries({}, optional=dict.fromkeys(cell_fields, values))
notebook = st.fixed_dictionaries(
    {
        "nbformat": st.sampled_from([3, 4, 4, 5, "4"]),
        "nbformat_minor": st.sampled_from([0, 5]),
        "metadata": st.just({}) | values,
        "cells": st.lists(cell, max_size=2) | values,
    }
)
message = st.fixed_dictionaries({}, optional={"content": scalars | values, "refusal": scalars})
choice = st.fixed_dictionaries({}, optional={"message": message | values, "finish_reason": scalars})
reply = st.fixed_dictionaries(
    {"choices": st.lists(choice, max_size=2) | values},
    optional={"usage": st.dictionaries(texts, scalars, max_size=2) | values, "model": scalars},
)
parts = st.dictionaries(texts, scalars, max_size=3) | values
verdict = st.fixed_dictionaries({"flagged": st.booleans() | scalars, "category_scores": parts})
verdicts = st.fixed_dictionaries(
    {"results": st.lists(verdict, max_size=2) | values}, optional={"model": scalars}
)
kept_fields = ("key", "text", "finish", "usd", "host", "request", "cached")
kept = st.fixed_dictionaries({}, optional=dict.fromkeys(kept_fields, scalars | values))
export = st.fixed_dictionaries({"form": st.just(EXPORT) | scalars, "items": st.just("a") | scalars})
damage = st.sampled_from(["", "", "", "", "{", "]", "\x00", '{"a": 1, "a": 2}', "9" * 5000, "[" * 5000])
of_json = run | notebook | reply | verdicts | kept | export | values
made_json = st.builds(
    lambda value, before, after: (before + json.dumps(value) + after).encode(),
    of_json,
    st.sampled_from(["", "", "", "", "\ufeff", " ", "["]),
    damage,
) | st.binary(max_size=40)


@some_of(0.4)
def test_every_made_file_of_json_is_read_or_refused_in_one_line(n: int, tmp_path: Path) -> None:
    path = tmp_path / "made.json"

    def check(content: bytes) -> None:
        path.write_bytes(content)
        read_or_refused(lambda: strict_json.read(path, mend="write it again"), path)
        read_or_refused(lambda: findings.read(path), path)
        read_or_refused(lambda: page.read_export(path, kind="review", form=EXPORT, items="a"), path)
        read_or_refused(lambda: read_notebook(path), path)
        read_or_refused(lambda: chat._load(path, SERVICE), path)
        read_or_refused(lambda: chat.replay([], path=path), path)
        with contextlib.suppress(http.FailedError):
            answer = http.read_reply(content)
            json.dumps(answer, ensure_ascii=False).encode()  # it can be stored
        with contextlib.suppress(moderation._FailedError, moderation._MalformedError):
            results, _ = moderation._read(content, n=1, key="sk-0123456789")
            score = moderation._scored(results[0])
            assert all(0 <= part <= 1 for part in score.parts.values())

    checked(made_json, check, n)


@some_of(0.1)
def test_every_made_row_comes_back_as_it_was_written_in_every_form(n: int, tmp_path: Path) -> None:
    # NUL is refused where a table is read: it is what UTF-16 without its mark looks like.
    whole = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20)
    signs = ["=1", "'=1", "-", "+a", "@", "\t", "-0.03", "\r", '"', "a\r\nb", ",", "'"]
    text = whole | st.sampled_from(signs)
    row = st.fixed_dictionaries({"prompt": text, "response": text, "id": st.just("x")})
    form = st.sampled_from(["a.jsonl", "a.json", "a.csv", "a.csv.gz", "a.parquet"])

    def check(made: tuple[str, list[dict[str, str]]]) -> None:
        name, written = made
        outputs.write_rows(tmp_path / name, written)
        assert data.read_table(tmp_path / name).rows == written
        if name == "a.csv":
            shown = pd.read_csv(tmp_path / name, dtype=str, keep_default_na=False, na_filter=False)
            cells = shown.drop(columns="disarmed_by_safetune", errors="ignore").to_numpy().ravel()
            assert not [cell for cell in cells if re.match(r"[=@]|[+-](?!\d)", cell)]

    checked(st.tuples(form, st.lists(row, min_size=1, max_size=4)), check, n)
