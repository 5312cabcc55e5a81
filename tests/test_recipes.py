"""The three recipes of CONTRIBUTING.md, followed word for word in a copy of the repository."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import nbformat
import pytest
from markdown_it import MarkdownIt

from safetune_utils.places import data_folder

pytestmark = pytest.mark.slow

ROOT = data_folder().parent


class Block(NamedTuple):
    """A block of code of the recipes: what its first line says of it, and its text."""

    about: dict[str, str]
    words: set[str]
    text: str


_TEXT = r'"(?:[^"\\]|\\.)*"'  # in quotation marks, as in JSON


def blocks() -> list[Block]:
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    found = []
    for token in MarkdownIt().parse(text):
        if token.type == "fence" and "{" in token.info:
            inside = token.info.split("{", 1)[1].rstrip("}")
            about = {name: json.loads(value) for name, value in re.findall(rf"(\w+)=({_TEXT})", inside)}
            words = set(re.sub(rf"\w+={_TEXT}", "", inside).split())
            found.append(Block(about, words, token.content))
    return found


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The repository's files, without its history, in another place."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split("\n")  # fmt: skip
    for name in filter(None, listed):
        if (ROOT / name).is_file() and not name.startswith("benchmarks"):
            target = tmp_path / "copy" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / name).read_bytes())
    return tmp_path / "copy"


def follow(copy: Path, files: set[str]) -> None:
    """Put the recipes' blocks for some files in their places."""
    done = set()
    for block in blocks():
        if (name := block.about.get("file", "")) not in files:
            continue
        path, before = copy / name, block.about.get("before")
        done.add(name)
        if before is None:
            assert not path.exists()
            path.write_text(block.text, "utf-8")
        else:
            text = path.read_text("utf-8")
            assert text.count(before) == 1, f"{before!r} is not once in {name}"
            path.write_text(text.replace(before, block.text + before), "utf-8")
    assert done == files


def run(copy: Path, *words: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}
    environment |= {"PYTHONPATH": f"{copy}:{copy / 'tests'}", "SAFETUNE_DATA": str(copy / "data")}
    answer = subprocess.run(
        [sys.executable, *words], cwd=copy, capture_output=True, text=True, env=environment
    )
    assert answer.returncode == 0, answer.stdout[-2000:] + answer.stderr[-2000:]
    return answer.stdout


PROMPT_SET = """
from safetune_utils import data
from safetune_utils.book.generated import data_cards
from safetune_utils.study.design import sets_there, state
from safetune_utils.study.plan import plan

assert "library" in sets_there({})
print(plan(state(prompt_sets=["library"], preset="smoke"))["responses_left"].tolist())
print("library questions at" in str(data_cards.parts()), data.CORPUS["library"].tests)
"""


def test_a_prompt_set_is_a_file_an_entry_and_a_line_of_its_card(copy: Path) -> None:
    follow(copy, {"data/corpus/library.jsonl", "safetune_utils/data/prompt_sets.py", "data/README.md"})
    said = run(copy, "-c", PROMPT_SET)
    assert said.startswith("[3, 3]\n")
    assert "everyday questions at a library's desk" in said
    # The recipe shows three rows, and 40 are asked for.
    few = "tests/data/test_sets.py::test_embedded_prompt_sets_have_unique_ids_and_texts[library]"
    tests = ["tests/data/test_sets.py", "tests/data/test_summary.py", "tests/test_corpus.py"]
    run(copy, "-m", "pytest", "--deselect", few, *tests)


INSTRUMENT = """
from safetune_utils.book.generated import instruments as page
from safetune_utils.scoring import instruments

scores = instruments.score("brevity", ["a", "b", "c"], ["Short.", "long " * 40, "..."])
print([one.value for one in scores])
print("whether the answer is short" in str(page.parts()).lower(), instruments.key("brevity", arithmetic=""))
"""


def test_an_instrument_is_a_module_and_an_entry(copy: Path) -> None:
    follow(copy, {"safetune_utils/scoring/brevity.py", "safetune_utils/scoring/instruments.py"})
    said = run(copy, "-c", INSTRUMENT)
    assert said.startswith("[1.0, 0.0, None]\nTrue")
    assert "brevity" in run(copy, "-m", "safetune_utils", "instruments")
    run(copy, "-m", "ruff", "check", "safetune_utils/scoring")
    run(copy, "-m", "pytest", "tests/scoring/test_instruments.py", "tests/scoring/test_readings.py")


def write_chapter(copy: Path) -> str:
    """The notebook of the recipe's cells; its name."""
    cells, metadata, name = [], {}, ""
    for block in blocks():
        if "chapter" not in block.about:
            continue
        name = block.about["chapter"]
        if "metadata" in block.words:
            metadata = json.loads(block.text)
        elif block.text.startswith("#"):
            cells.append(nbformat.v4.new_markdown_cell(block.text.strip()))
        else:
            cells.append(nbformat.v4.new_code_cell(block.text.strip()))
            cells[-1].metadata["tags"] = ["parameters"] if "parameters" in block.words else []
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel, "safetune": metadata})
    nbformat.write(notebook, copy / "notebooks" / f"{name}.ipynb")
    return name


CHAPTER = """
from safetune_utils.book import chapters, outputs
from pathlib import Path

last = chapters.chapters()[-1]
drawn = list(outputs.drawn(Path("out.ipynb")))
print(last.number, last.title, drawn == list(last.figures), outputs.values(Path("out.ipynb")))
"""


def test_a_chapter_is_a_notebook(copy: Path, base: Path) -> None:
    name = write_chapter(copy)
    number = name.split("_")[0]
    given = ["--preset", "smoke", "-p", f"base_model={base}", "--output", "out.ipynb"]
    run(copy, "-m", "safetune_utils", "run", number, *given)
    assert run(copy, "-c", CHAPTER) == f"{number} How long are the answers? True {{'n_answers': 8}}\n"
    run(copy, "-m", "pytest", "tests/book/test_chapters.py")
