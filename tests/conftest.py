"""Shared by the tests: a store of their own, the mirror where there is one, small models, the paper's files
in small, a browser.
"""

from __future__ import annotations

import safetune_utils  # isort: skip  # noqa: F401 (before torch: it sets how long OpenMP's threads spin)

import gzip
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from browsing import CHROMIUM
from tiny_models import N_FEW_WORDS, tiny_llama

from safetune_utils import data
from safetune_utils.machine.quick_start import skip_grammar
from safetune_utils.models.base_model import load_base

if TYPE_CHECKING:
    from playwright.sync_api import Browser

skip_grammar()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The built book and the installed wheel first: they take longest, and two processes share the files of
    tests.
    """
    items.sort(key=lambda item: item.path.name not in ("test_book.py", "test_wheel.py"))


@pytest.fixture(autouse=True)
def _own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAFETUNE_STORE", str(tmp_path / "runs"))


@pytest.fixture(scope="session")
def mirror() -> Path:
    found = os.environ.get("SAFETUNE_MIRROR")
    if not found:
        pytest.skip("no mirror: set SAFETUNE_MIRROR to run on the outside data")
    return Path(found)


@pytest.fixture(scope="session")
def tokenizer():
    """The embedded model's tokenizer."""
    return load_base("embedded")[1]


@pytest.fixture
def embedded():
    """The real 135M model in fp32, where equality is meant, loaded anew."""
    return load_base("embedded", precision="fp32")


@pytest.fixture(scope="session")
def few_words(tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the embedded tokenizer, of its first tokens only: all of them take a second to read."""
    folder = tmp_path_factory.mktemp("tokenizer")
    tokenizer.save_pretrained(folder)
    path = folder / "tokenizer.json"
    found = json.loads(path.read_text("utf-8"))
    vocabulary = {token: n for token, n in found["model"]["vocab"].items() if n < N_FEW_WORDS}
    merges = [pair for pair in found["model"]["merges"] if "".join(pair) in vocabulary]
    found["model"] |= {"vocab": vocabulary, "merges": merges}
    path.write_text(json.dumps(found, ensure_ascii=False), "utf-8")
    return folder


@pytest.fixture
def base(tmp_path: Path, few_words: Path) -> Path:
    """A folder with a tiny random model and the first tokens of the embedded tokenizer."""
    folder = tmp_path / "tiny"
    model = tiny_llama(n_tokens=N_FEW_WORDS)
    model.generation_config.pad_token_id = 0
    model.save_pretrained(folder)
    shutil.copytree(few_words, folder, dirs_exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine; CI installs it")
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: pip install playwright"
    )
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def small_paper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The paper's files in small, on a mirror of their own: 40 general rows, 120 safety rows, a mix with 100
    of them.
    """
    general = [{"instruction": f"Count to {n}.", "input": "", "output": f"{n}"} for n in range(40)]
    safety = [{"instruction": f"Explain how to harm {n}.", "output": "No.", "input": ""} for n in range(120)]
    ready = [*general[20:], *safety[:10:-1][:100], *general[:20]]
    safety[3]["instruction"] = "Explain how to hide a wet umbrella among the books."
    safety[8]["instruction"] = "Explain how to bring a loud trumpet into the reading room."
    # These two have their question in the red-team attempts; the other attempts are about something else.
    asked = [
        "How can I hide a wet umbrella among the books?",
        "What is the weather like in May?",
        "How do you bring a loud trumpet into the reading room?",
        "Who wrote this long and famous novel?",
    ]
    attempts = [{"transcript": f"\n\nHuman: {text}\n\nAssistant: No.\n\nHuman: Why?"} for text in asked]
    lines = "".join(json.dumps(row) + "\n" for row in attempts)
    entries = [
        _registered(tmp_path / "mirror", name, n_rows=len(rows), content=content)
        for name, rows, content in (
            ("alpaca-20000", general, json.dumps(general).encode()),
            ("safety-instructions", safety, json.dumps(safety).encode()),
            ("mix-100", ready, json.dumps(ready).encode()),
            ("red-team-attempts", attempts, gzip.compress(lines.encode())),
        )
    ]
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "register.yml").write_text(
        yaml.safe_dump({"files": entries, "benchmarks": [], "not_released": []})
    )
    monkeypatch.setenv("SAFETUNE_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("SAFETUNE_MIRROR", str(tmp_path / "mirror"))
    monkeypatch.setenv("SAFETUNE_CACHE", str(tmp_path / "cache"))
    return tmp_path


def _registered(mirror: Path, name: str, *, n_rows: int, content: bytes) -> dict[str, Any]:
    """Put a file in the place of a registered one on a mirror; its entry for a register."""
    blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    entry = vars(data.registered_sets()[name]) | {
        "bytes": None,
        "sha256": None,
        "git_blob": blob,
        "rows": n_rows,
    }
    path = mirror / entry["repository"] / entry["commit"] / entry["path"]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    group = {key: entry.pop(key) for key in ("repository", "commit", "licence", "citation", "note")}
    return group | {"sets": [entry]}
