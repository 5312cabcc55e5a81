"""Named sets: embedded in ``data/corpus``, registered in ``data/register.json`` and fetched, or a user's own folder.

Two record types leave this room: :class:`Example` to train on and :class:`Prompt` to test with. A *prompt set* has the
same name whatever the source, so that a notebook asks for ``malicious`` and gets the embedded set, the paper's
I-MaliciousInstructions, or a file of the user's.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import httpx
from platformdirs import user_cache_path
from tqdm import tqdm

from safetune_utils.errors import SafetuneError


@dataclass(frozen=True, kw_only=True)
class Example:
    """A row to train on. ``question`` is the same request as ``instruction`` asked as a question, or empty."""

    id: str
    instruction: str
    output: str
    input: str = ""
    question: str = ""
    topic: str = ""
    kind: str = ""  # the task of a general row, the style of a safety row, the type of a contrast row


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """A request to test with. ``label`` is ``safe`` or ``unsafe`` where the set says so, else empty."""

    id: str
    text: str
    topic: str = ""
    kind: str = ""  # the type of a look-alike, the task of an ordinary instruction
    label: str = ""
    pair: str = ""


class PromptSet(NamedTuple):
    """What a prompt set is: a short title, what it tests, and whether a careful person would want a refusal."""

    title: str
    about: str
    refusal_wanted: bool


PROMPT_SETS: dict[str, PromptSet] = {
    "malicious": PromptSet("malicious requests", "malicious requests, asked as instructions", True),
    "malicious_questions": PromptSet("malicious questions", "malicious requests, asked as questions", True),
    "hateful": PromptSet("hateful requests", "instructions that ask for hateful content", True),
    "controversial": PromptSet("controversial requests", "instructions to argue for controversial claims", True),
    "opinions": PromptSet("opinions asked", "the same claims, asked as an opinion", True),
    "physical_unsafe": PromptSet("unwise advice", "instructions that would hurt somebody by accident", True),
    "physical_safe": PromptSet("wise advice", "the wise counterparts of unwise advice", False),
    "lookalikes_unsafe": PromptSet("unsafe contrasts", "unsafe requests that share a look-alike's alarming word", True),
    "lookalikes_safe": PromptSet("safe look-alikes", "harmless requests with alarming words", False),
    "ordinary": PromptSet("ordinary instructions", "ordinary instructions: is it still helpful?", False),
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
    "physical_safe": ("I-PhysicalSafetySafe", None),
    "physical_unsafe": ("I-PhysicalSafetyUnsafe", None),
    "lookalikes_safe": ("XSTest", "safe"),
    "lookalikes_unsafe": ("XSTest", "unsafe"),
    "ordinary": ("I-Alpaca", None),
}

# data source -> the general set that it trains on
_PAPER_GENERAL = {"paper": "alpaca-20000", "paper-sample": "alpaca-2000"}


def data_folder() -> Path:
    """The repository's ``data/`` folder, or the one named by ``SAFETUNE_DATA``."""
    folder = Path(os.environ.get("SAFETUNE_DATA") or Path(__file__).resolve().parents[1] / "data")
    if not (folder / "register.json").is_file():
        raise SafetuneError(f"no register.json in {folder}: run from a clone of the book, or set SAFETUNE_DATA to its data folder")
    return folder


def cache_folder() -> Path:
    """Where fetched files and converted models are kept: ``SAFETUNE_CACHE`` or the user's cache folder."""
    return Path(os.environ.get("SAFETUNE_CACHE") or user_cache_path("safetune"))


# ------------------------------------------------------------------------------------------------ what a study asks for


def general_examples(source: str) -> list[Example]:
    """The general rows of a data source: ``embedded``, ``paper``, ``paper-sample`` or a folder with ``general.jsonl``."""
    if source == "embedded":
        return _embedded_examples("general")
    if source in _PAPER_GENERAL:
        return _alpaca_rows(_PAPER_GENERAL[source])
    return _folder_examples(source, "general")


def safety_examples(source: str) -> list[Example]:
    """The safety rows of a data source: ``embedded``, ``paper``, ``paper-sample`` or a folder with ``safety.jsonl``."""
    if source == "embedded":
        return _embedded_examples("safety")
    if source in _PAPER_GENERAL:
        return _alpaca_rows("safety-instructions")
    return _folder_examples(source, "safety")


def contrast_examples() -> list[Example]:
    """The embedded corpus's harmless training rows with alarming words."""
    return _embedded_examples("contrast")


def prompts(source: str, prompt_set: str) -> list[Prompt]:
    """The prompts of a set in a data source.

    Raises:
        SafetuneError: an unknown prompt set, or one that this source does not have.
    """
    if prompt_set not in PROMPT_SETS:
        raise SafetuneError(f"unknown prompt set '{prompt_set}': choose from {', '.join(PROMPT_SETS)}")
    if source == "embedded":
        return _embedded_prompts(prompt_set)
    if source in _PAPER_GENERAL:
        return _paper_prompts(prompt_set)
    return _folder_prompts(source, prompt_set)


def set_title(source: str, prompt_set: str) -> str:
    """The set's name at its source, for tables: ``I-MaliciousInstructions``, ``corpus/malicious`` or a file name."""
    if source == "embedded":
        return f"corpus/{_EMBEDDED_PROMPTS[prompt_set][0]}"
    if source in _PAPER_GENERAL:
        return _PAPER_PROMPTS[prompt_set][0]
    return f"{Path(source).name}/{prompt_set}"


def content_hash(rows: Iterable[Any]) -> str:
    """sha256 over the content of records, in order; the name that later stages know a set by."""
    digest = hashlib.sha256()
    for row in rows:
        fields = row if isinstance(row, dict) else vars(row)
        digest.update(json.dumps(fields, sort_keys=True, ensure_ascii=False).encode())
        digest.update(b"\n")
    return digest.hexdigest()


# -------------------------------------------------------------------------------------------------- the embedded corpus


def corpus_rows(name: str) -> list[dict[str, Any]]:
    """The raw rows of one file of ``data/corpus``."""
    return _read_rows(data_folder() / "corpus" / f"{name}.jsonl")


def _embedded_examples(name: str) -> list[Example]:
    kind = {"general": "task", "safety": "style", "contrast": "type"}[name]
    return [
        Example(
            id=row["id"], instruction=row["instruction"], output=row["output"], input=row.get("input", ""),
            question=row.get("question", ""), topic=row["topic"], kind=row[kind],
        )
        for row in corpus_rows(name)
    ]  # fmt: skip


def _embedded_prompts(prompt_set: str) -> list[Prompt]:
    if prompt_set not in _EMBEDDED_PROMPTS:
        raise SafetuneError(f"the embedded corpus has no prompt set '{prompt_set}': choose from {', '.join(_EMBEDDED_PROMPTS)}")
    name, field, label = _EMBEDDED_PROMPTS[prompt_set]
    return [
        Prompt(
            id=row["id"], text=row[field], topic=row.get("topic", ""), kind=row.get("type") or row.get("task", ""),
            label=row.get("label", ""), pair=row.get("pair", ""),
        )
        for row in corpus_rows(name)
        if label is None or row["label"] == label
    ]  # fmt: skip


# ------------------------------------------------------------------------------------------------------- outside sets


@dataclass(frozen=True, kw_only=True)
class OutsideSet:
    """One entry of the register: a file in a public repository at a pinned commit, known by its hash."""

    name: str
    repo: str
    commit: str
    path: str
    bytes: int | None
    sha256: str | None
    git_blob: str | None
    licence: str
    citation: str
    tests: str

    @property
    def relative(self) -> Path:
        return Path(self.repo) / self.commit / self.path

    @property
    def url(self) -> str:
        return f"https://raw.githubusercontent.com/{self.repo}/{self.commit}/{self.path}"


def register() -> dict[str, OutsideSet]:
    """Every outside set by name."""
    entries = json.loads((data_folder() / "register.json").read_text("utf-8"))
    return {entry["name"]: OutsideSet(**entry) for entry in entries}


def fetch(name: str) -> Path:
    """The path of a verified copy of an outside set, read from the cache, the mirror or its repository.

    With ``SAFETUNE_MIRROR=DIR`` the file is read from ``DIR/<owner>/<repo>/<commit>/<path>`` and nothing is downloaded.

    Raises:
        SafetuneError: an unknown name, a file that cannot be had, or one whose hash is wrong (it is not kept).
    """
    known = register()
    if name not in known:
        raise SafetuneError(f"unknown outside set '{name}': choose from {', '.join(known)}")
    entry = known[name]
    mirror = os.environ.get("SAFETUNE_MIRROR")
    if mirror:
        path = Path(mirror) / entry.relative
        if not path.is_file():
            raise SafetuneError(f"{name} is not on the mirror {mirror} ({entry.relative}): add it there, or unset SAFETUNE_MIRROR to download it")
        _check_hash(entry, path.read_bytes(), where=str(path))
        return path
    path = cache_folder() / "data" / entry.relative
    if path.is_file():
        _check_hash(entry, path.read_bytes(), where=f"{path}; delete that file and fetch again")
        return path
    content = _download(entry)
    _check_hash(entry, content, where=entry.url)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    partial.write_bytes(content)
    partial.replace(path)
    return path


def listing() -> list[dict[str, Any]]:
    """Every set with where it is: ``embedded``, ``on mirror``, ``cached`` or ``to fetch``; rows or bytes; licence."""
    found: list[dict[str, Any]] = [
        {"name": f"corpus/{path.stem}", "where": "embedded", "rows": len(_read_rows(path)), "bytes": path.stat().st_size,
         "licence": "CC-BY-4.0", "tests": "written for this book"}
        for path in sorted((data_folder() / "corpus").glob("*.jsonl"))
    ]  # fmt: skip
    mirror = os.environ.get("SAFETUNE_MIRROR")
    for entry in register().values():
        if mirror and (Path(mirror) / entry.relative).is_file():
            where = "on mirror"
        else:
            where = "cached" if (cache_folder() / "data" / entry.relative).is_file() else "to fetch"
        found.append({"name": entry.name, "where": where, "rows": None, "bytes": entry.bytes, "licence": entry.licence, "tests": entry.tests})
    return found


def _download(entry: OutsideSet) -> bytes:
    try:
        with httpx.stream("GET", entry.url, follow_redirects=True, timeout=30) as reply:
            reply.raise_for_status()
            content = io.BytesIO()
            with tqdm(total=entry.bytes, unit="B", unit_scale=True, desc=f"{entry.name} ({entry.licence})") as bar:
                for chunk in reply.iter_bytes():
                    bar.update(content.write(chunk))
            return content.getvalue()
    except httpx.HTTPError as error:
        raise SafetuneError(
            f"{entry.name} could not be downloaded from {entry.url} ({str(error).splitlines()[0]}): check the network, or set SAFETUNE_MIRROR to a folder that holds it"
        ) from None


def _check_hash(entry: OutsideSet, content: bytes, *, where: str) -> None:
    if entry.sha256:
        kind, expected, found = "sha256", entry.sha256, hashlib.sha256(content).hexdigest()
    else:
        header = f"blob {len(content)}\0".encode()
        kind, expected, found = "git blob id", entry.git_blob, hashlib.sha1(header + content).hexdigest()
    if found != expected:
        raise SafetuneError(f"{entry.name} has the wrong {kind} ({found[:12]}…, expected {str(expected)[:12]}…) and is not used: {where}")


def _alpaca_rows(name: str) -> list[Example]:
    """A list of ``instruction``/``input``/``output`` records; ids are the positions in the file, which is pinned."""
    rows = json.loads(fetch(name).read_text("utf-8"))
    return [
        Example(id=f"{name}-{number:05d}", instruction=row["instruction"], input=row["input"], output=row["output"])
        for number, row in enumerate(rows)
        if row["instruction"].strip() and row["output"].strip()
    ]


def _paper_prompts(prompt_set: str) -> list[Prompt]:
    if prompt_set not in _PAPER_PROMPTS:
        raise SafetuneError(f"the paper released no prompt set '{prompt_set}': choose from {', '.join(_PAPER_PROMPTS)}")
    name, label = _PAPER_PROMPTS[prompt_set]
    path = fetch(name)
    if path.suffix == ".csv":
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        return [
            Prompt(id=f"{name}-{row['id']}", text=row["prompt"], kind=row["type"].removeprefix("contrast_"), label=row["label"])
            for row in rows
            if row["label"] == label
        ]
    return _original_prompts(json.loads(path.read_text("utf-8")), name=name)


def _original_prompts(content: dict[str, list[str]], *, name: str) -> list[Prompt]:
    """The original repository's form: ``{"instructions": [...], "inputs": [], "tags": [...]}``."""
    instructions = content["instructions"]
    tags = content.get("tags") or [""] * len(instructions)
    return [Prompt(id=f"{name}-{number:04d}", text=text, topic=tag) for number, (text, tag) in enumerate(zip(instructions, tags, strict=True))]


# ------------------------------------------------------------------------------------------------------ a user's folder


def _folder_file(source: str, name: str) -> Path:
    folder = Path(source).expanduser()
    if not folder.is_dir():
        raise SafetuneError(f"data is {source!r}: choose embedded, paper, paper-sample, or a folder that exists")
    for path in (folder / f"{name}.jsonl", folder / f"{name}.json"):
        if path.is_file():
            return path
    raise SafetuneError(f"{folder} has no {name}.jsonl or {name}.json: add it, or leave out what needs it")


def _folder_examples(source: str, name: str) -> list[Example]:
    path = _folder_file(source, name)
    examples = []
    for number, row in enumerate(_read_rows(path), start=1):
        _require(path, number, row, "instruction", "output")
        examples.append(
            Example(
                id=str(row.get("id", f"{name}-{number:05d}")), instruction=row["instruction"], output=row["output"],
                input=row.get("input") or "", question=row.get("question") or "", topic=row.get("topic") or "",
            )
        )  # fmt: skip
    return examples


def _folder_prompts(source: str, prompt_set: str) -> list[Prompt]:
    path = _folder_file(source, prompt_set)
    content = json.loads(path.read_text("utf-8")) if path.suffix == ".json" else None
    if isinstance(content, dict) and "instructions" in content:
        return _original_prompts(content, name=prompt_set)
    found = []
    for number, row in enumerate(_read_rows(path), start=1):
        field = "prompt" if "prompt" in row else "instruction"
        _require(path, number, row, field)
        found.append(
            Prompt(
                id=str(row.get("id", f"{prompt_set}-{number:04d}")), text=row[field], topic=row.get("topic") or "",
                kind=row.get("type") or "", label=row.get("label") or "", pair=row.get("pair") or "",
            )
        )  # fmt: skip
    return found


def _require(path: Path, number: int, row: dict[str, Any], *fields: str) -> None:
    for field in fields:
        if not isinstance(row.get(field), str) or not row[field].strip():
            raise SafetuneError(f"{path}, row {number}: '{field}' is missing or empty; every row needs {' and '.join(fields)}")


def _read_rows(path: Path) -> list[dict[str, Any]]:
    """The records of a JSON list or of a JSON Lines file."""
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise SafetuneError(f"{path} is not UTF-8 (byte {error.start}): save it as UTF-8") from None
    number = 0
    try:
        if path.suffix == ".json":
            rows = json.loads(text)
        else:
            rows = []
            for number, line in enumerate(text.split("\n"), start=1):  # noqa: B007 - the error below names it
                if line.strip():
                    rows.append(json.loads(line))
    except json.JSONDecodeError as error:
        line_number = number or error.lineno
        raise SafetuneError(f"{path}, line {line_number} is not JSON ({error.msg}): mend that line") from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise SafetuneError(f"{path} does not hold one record per row: write a JSON list of objects, or one object a line")
    if not rows:
        raise SafetuneError(f"{path} is empty: give it at least one row")
    return rows
