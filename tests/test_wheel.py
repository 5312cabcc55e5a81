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
from pathlib import Path
from typing import NamedTuple

import pytest
from local_hub import NAME, Hub

from safetune_utils.models.embedded import embedded_folder
from safetune_utils.places import data_folder

ROOT = data_folder().parent
# Of a clone, what the wheel brings besides the package.
BROUGHT = ("data/", "notebooks/", "book/", "_config.yml", "_toc.yml", "requirements-model.txt")
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
    wanted |= {name for name in files if name.startswith("safetune_utils/")}
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert held == wanted
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
    return [NAME if word == "org/name" else word for word in words] + more


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
