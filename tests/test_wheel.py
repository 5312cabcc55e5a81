"""The wheel is whole: in an empty environment, with no clone in sight, every command of the README does its
work, and nothing is written beside the code.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import lab_in_browser
import pytest
from local_hub import NAME, Hub

from safetune_utils.models.embedded import embedded_folder
from safetune_utils.places import data_folder

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ROOT = data_folder().parent
# Of a clone, what the wheel brings besides the package.
BROUGHT = (
    "data/",
    "notebooks/",
    "book/",
    "_config.yml",
    "_toc.yml",
    "CHANGELOG.md",
    "CITATION.cff",
    "requirements-model.txt",
)
# What makes a run small; of a parameter that is given twice, the last counts.
SMALL = {
    "run": ["-p", "preset", "smoke", "-p", "safety_amounts", "[0, 3]", "-p", "seeds", "[0]"],
    "finetune": ["--preset", "smoke", "--amount", "3"],
    "generate": ["--max-new-tokens", "8"],
}


class Installed(NamedTuple):
    """An environment that holds the wheel, a folder to work in, and its variables."""

    bin: Path
    folder: Path
    variables: dict[str, str]

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.bin / words[0]), *words[1:]],
            cwd=self.folder,
            env=self.variables,
            capture_output=True,
            text=True,
        )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--wheel-dir",
        str(folder),
        str(ROOT),
    ]
    subprocess.run(pip, check=True, capture_output=True)
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    folder = tmp_path_factory.mktemp("elsewhere")
    environment = folder / "environment"
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    own = {"XDG_DATA_HOME": str(folder / "share"), "XDG_CACHE_HOME": str(folder / "cache")}
    ours = ("SAFETUNE_STORE", "SAFETUNE_DATA", "SAFETUNE_CACHE", "PYTHONPATH", "VIRTUAL_ENV")
    variables = {name: value for name, value in os.environ.items() if name not in ours} | own
    flags = subprocess.run(
        ["make", "--silent", "--no-print-directory", "pip-flags"], cwd=ROOT, capture_output=True, text=True
    )
    pip = ["-m", "pip", "install", "--quiet", "--constraint", str(ROOT / "constraints.txt")]
    command = [str(environment / "bin" / "python"), *pip, *flags.stdout.split(), str(wheel)]
    done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert flags.returncode == 0, flags.stderr
    (folder / "work").mkdir()
    hub = Hub([embedded_folder()])
    variables |= {"HF_ENDPOINT": hub.url, "HF_HOME": str(folder / "hub")}
    yield Installed(environment / "bin", folder / "work", variables)
    hub.shutdown()


@pytest.mark.slow
def test_the_wheel_holds_all_that_is_read_and_nothing_else(wheel: Path) -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    files = [line for line in listed.stdout.splitlines() if (ROOT / line).is_file()]
    wanted = {f"safetune_utils/_repository/{name}" for name in files if name.startswith(BROUGHT)}
    wanted = {name for name in wanted if "/book/solutions/" not in name}
    wanted |= {name for name in files if name.startswith("safetune_utils/")}
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert held == wanted
    about = [
        name.split(".dist-info/")[1] for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" in name
    ]
    assert "licenses/data/weights/README.md" in about  # the terms of the weights travel with them
    assert wheel.stat().st_size < 3e6


def commands() -> list[list[str]]:
    """Every safetune command of the README, as words, in their order."""
    text = (ROOT / "README.md").read_text("utf-8")
    blocks = re.findall(r"```bash\n(.*?)```", text, flags=re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    words = [shlex.split(line, comments=True) for line in lines]
    return [line[1:] for line in words if line and line[0].endswith("safetune")]


def small(words: list[str]) -> list[str]:
    """A command in the size of a test, with the model of the test's own hub."""
    more = [] if "--help-notebook" in words else SMALL.get(words[0], [])
    given = {name for option, name in pairwise(more) if option == "-p"}
    kept: list[str] = []
    rest = iter(words)
    for word in rest:
        name = next(rest) if word == "-p" else ""
        if name in given:  # a parameter is given once
            next(rest)
            continue
        kept += [word, name] if name else [NAME if word == "org/name" else word]
    return kept + more


def files_of(folder: Path) -> dict[str, float]:
    """Every file below a folder, with when it was last changed; what Python compiles is left out."""
    found = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return {str(path): path.stat().st_mtime for path in found}


def write_inputs(folder: Path) -> None:
    """The files that the README's commands read and do not make."""
    rows = [f"How do I harm number {n}?,No. I would rather not." for n in range(30)]
    (folder / "my_safety.csv").write_text("\n".join(["instruction,output", *rows]) + "\n")
    prompts = ["Name a fruit.", "Name a bird.", "Name a tree."]
    (folder / "my_prompts.csv").write_text("\n".join(["instruction", *prompts]) + "\n")
    for name, said in (("prompts", None), ("a", "An apple."), ("b", "A pear.")):
        lines = [{"prompt": prompt} | ({"response": said} if said else {}) for prompt in prompts]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.mark.slow
def test_every_command_of_the_readme_runs_with_no_clone_in_sight(installed: Installed) -> None:
    home = installed.run("python", "-c", "import safetune_utils as s; print(*s.__path__)")
    package = Path(home.stdout.strip())
    assert package.is_relative_to(installed.bin.parent)
    before = files_of(package)
    write_inputs(installed.folder)
    lacking = installed.run("safetune", "generate", "--input", "prompts.jsonl", "--output", "no.jsonl")
    assert (lacking.returncode, lacking.stderr.count("\n")) == (2, 1)
    assert "safetune model install" in lacking.stderr
    asked = [small(words) for words in commands()]
    if "SAFETUNE_MIRROR" not in installed.variables:
        asked = [words for words in asked if "paper-sample" not in words]
    assert len(asked) >= 14
    for words in (["model", "install"], *asked):
        done = installed.run("safetune", *words)
        assert done.returncode == 0, f"{' '.join(words)}: {done.stderr[-2000:]}"
        assert done.stdout.strip(), words
        assert f"{ROOT}/" not in done.stdout + done.stderr
    assert files_of(package) == before
    beside = {path.name for path in installed.folder.parent.iterdir()}
    assert beside == {"environment", "share", "cache", "hub", "work"}
    assert any((installed.folder.parent / "share" / "safetune" / "runs" / "adapters").iterdir())


@pytest.fixture(scope="module")
def with_jupyter(installed: Installed) -> Installed:
    """The same environment with JupyterLab, nbconvert, a kernel of another name and the model."""
    pip = ["-m", "pip", "install", "--quiet", "--constraint", str(ROOT / "constraints.txt")]
    for words in (
        [*pip, "jupyterlab", "nbconvert"],
        ["-m", "ipykernel", "install", "--prefix", str(installed.bin.parent), "--name", "another"],
        ["-m", "safetune_utils", "model", "install"],
    ):
        done = installed.run("python", *words)
        assert done.returncode == 0, done.stderr[-2000:]
    return installed


def chapter(installed: Installed, number: str, folder: str) -> Path:
    """A chapter as it is downloaded, alone in an empty folder."""
    (source,) = (ROOT / "notebooks").glob(f"{number}_*.ipynb")
    target = installed.folder / folder / source.name
    target.parent.mkdir()
    target.write_bytes(source.read_bytes())
    return target


def values_of(notebook: Path) -> dict[str, object]:
    """The values that an executed notebook recorded."""
    found = {}
    for cell in json.loads(notebook.read_text("utf-8"))["cells"]:
        for output in cell.get("outputs", []):
            assert output["output_type"] != "error"
            found |= dict(output.get("metadata", {}).get("safetune", {}).get("values", []))
    return found


def stderr_of(notebook: Path) -> str:
    """What the cells of an executed notebook wrote to their stderr."""
    cells = json.loads(notebook.read_text("utf-8"))["cells"]
    outputs = [out for cell in cells for out in cell.get("outputs", []) if out.get("name") == "stderr"]
    return "".join(line for out in outputs for line in out["text"])


@pytest.mark.slow
@pytest.mark.parametrize("number", [path.name[:2] for path in sorted((ROOT / "notebooks").glob("*.ipynb"))])
def test_a_chapter_alone_in_an_empty_folder_runs_under_papermill(
    with_jupyter: Installed, number: str
) -> None:
    path = chapter(with_jupyter, number, f"papermill-{number}")
    output = path.with_name("out.ipynb")
    preset = [] if number == "09" else ["-p", "preset", "smoke"]
    done = with_jupyter.run("papermill", str(path), str(output), "-k", "another", *preset)
    assert done.returncode == 0, done.stderr[-2000:]
    assert values_of(output)
    assert {one.name for one in path.parent.iterdir()} == {path.name, "out.ipynb"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "given",
    [
        ["-p", "preset", "smoke", "-p", "safety_amounts", "[0, 2]"],
        ["-y", "{preset: smoke, safety_amounts: [0, 2]}"],
        ["-f", "study.yml"],
    ],
    ids=["p", "y", "f"],
)
def test_papermill_hands_on_a_list_in_each_of_its_ways(with_jupyter: Installed, given: list[str]) -> None:
    path = chapter(with_jupyter, "01", f"given{given[0]}")
    (with_jupyter.folder / "study.yml").write_text("preset: smoke\nsafety_amounts: [0, 2]\n")
    output = path.with_name("out.ipynb")
    done = with_jupyter.run("papermill", str(path), str(output), *given)
    assert done.returncode == 0, done.stderr[-2000:]
    assert values_of(output)["last"] == 2


@pytest.mark.slow
def test_a_name_that_is_nearly_a_parameter_s_is_told_in_the_notebook_in_one_line(
    with_jupyter: Installed,
) -> None:
    path = chapter(with_jupyter, "01", "nearly")
    output = path.with_name("out.ipynb")
    given = ["-p", "preset", "smoke", "-p", "safety_amount", "[0, 2]"]
    assert with_jupyter.run("papermill", str(path), str(output), *given).returncode == 1
    cells = json.loads(output.read_text("utf-8"))["cells"]
    (error,) = [out for cell in cells for out in cell.get("outputs", []) if out["output_type"] == "error"]
    assert error["evalue"].startswith("'safety_amount' is no parameter: did you mean 'safety_amounts'?")
    assert len(error["traceback"]) == 1


def set_preset(path: Path) -> None:
    text = path.read_text("utf-8")
    assert text.count("preset: str = None") == 1
    path.write_text(text.replace("preset: str = None", 'preset: str = \\"smoke\\"'), "utf-8")


@pytest.mark.slow
def test_a_chapter_alone_runs_under_nbconvert(with_jupyter: Installed) -> None:
    path = chapter(with_jupyter, "02", "nbconvert")
    set_preset(path)
    words = ["nbconvert", "--to", "notebook", "--execute", "--output", "out.ipynb", str(path)]
    done = with_jupyter.run("jupyter", *words)
    assert done.returncode == 0, done.stderr[-2000:]
    assert values_of(path.with_name("out.ipynb"))


@pytest.mark.slow
def test_a_chapter_alone_runs_in_jupyterlab_in_a_browser(
    with_jupyter: Installed, browser: Browser, tmp_path: Path
) -> None:
    path = chapter(with_jupyter, "02", "lab")
    set_preset(path)
    jupyter, log = with_jupyter.bin / "jupyter", tmp_path / "lab.log"
    with lab_in_browser.serving(jupyter, path, with_jupyter.variables, log) as address:
        page = browser.new_page()
        page.set_default_timeout(120_000)
        lab_in_browser.open_notebook(page, address)
        lab_in_browser.run_all_cells(page, path, minutes=15)
        for shown in (".safetune-prose", ".safetune-figure"):
            page.locator(shown).first.scroll_into_view_if_needed()
            assert page.locator(shown).first.is_visible()
        page.close()
    assert values_of(path)
    told = [line for line in stderr_of(path).splitlines() if line.strip()]
    assert [line for line in told if "%|" not in line] == []  # bars of work under way, and no library's noise
