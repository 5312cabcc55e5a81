"""The ways to install give the same versions."""

from __future__ import annotations

import http.server
import importlib.metadata
import json
import os
import re
import subprocess
import sys
import threading
import tomllib
from functools import partial
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from safetune_utils.places import data_folder

ROOT = data_folder().parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]


def pins(lines: list[str]) -> dict[str, str]:
    found = {}
    for line in lines:
        match = re.fullmatch(r"([A-Za-z0-9_.-]+)==([^\s;]+)", line.strip())
        assert match, f"{line} is not an exact pin"
        found[match.group(1).lower().replace("_", "-")] = match.group(2)
    return found


def lines_of(name: str) -> list[str]:
    """The lines of a file of pins, without comments and hashes."""
    lines = (ROOT / name).read_text("utf-8").splitlines()
    return [line.split(" ")[0] for line in lines if line and line[0] not in "# "]


CONSTRAINTS = pins(lines_of("constraints.txt"))
EXACT = [line for extra in EXTRAS.values() for line in extra]


def test_a_dependency_is_a_range_with_two_ends_that_holds_the_version_of_the_book() -> None:
    assert set(EXTRAS) == {"book", "gpu", "api", "bench", "cluster", "capability", "curves", "dev"}
    for line in PROJECT["dependencies"]:
        one = Requirement(line)
        assert {part.operator for part in one.specifier} == {">=", "<"}, line
        assert CONSTRAINTS[one.name.lower().replace("_", "-")] in one.specifier


def test_constraints_hold_every_pin_of_the_extras_and_are_what_is_installed() -> None:
    wanted = pins([*EXTRAS["book"], *EXTRAS["dev"]])
    assert pins(EXACT).keys() >= wanted.keys()
    for name, version in wanted.items():
        assert CONSTRAINTS[name] == version
    names = [Requirement(line).name for line in PROJECT["dependencies"]]
    for name in (*wanted, *names):
        assert importlib.metadata.version(name).split("+")[0] == CONSTRAINTS[name.lower().replace("_", "-")]


@pytest.mark.parametrize("name", ["requirements-lock.txt", "requirements-lock-cuda.txt"])
def test_every_package_of_the_lock_is_exact_and_has_hashes(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")
    for block in re.findall(r"^[^#\s].*(?:\n {4}.*)*", text, flags=re.MULTILINE):
        assert re.match(r"[\w.-]+==[^\s;]+( ; .*)? \\\n( {4}--hash=sha256:[0-9a-f]{64}( \\\n)?)+$", block), (
            block
        )


def test_the_lock_is_of_the_constraints_and_holds_all_that_the_book_needs() -> None:
    lock = pins(lines_of("requirements-lock.txt"))
    other = {name for name, version in lock.items() if CONSTRAINTS.get(name) != version}
    assert other == {"appnope", "httpx2-jsfetch", "pywinpty", "pyyaml-ft"}  # of other systems and versions
    names = [Requirement(line).name.lower().replace("_", "-") for line in PROJECT["dependencies"]]
    assert lock.keys() >= {*names, *pins([*EXTRAS["book"], *EXTRAS["dev"]]), "hatchling"}


def test_conda_installs_the_versions_of_the_constraints() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text("utf-8"))
    (pip,) = (entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))
    assert pip == ["--constraint constraints.txt", "--editable .[book,dev]"]


@pytest.mark.parametrize(
    "name",
    [
        "README.md",
        "LICENSE",
        "DATA_LICENSE",
        "CITATION.cff",
        "Makefile",
        "_config.yml",
        "_toc.yml",
        "SECURITY.md",
    ],
)
def test_the_top_level_is_there(name: str) -> None:
    assert (ROOT / name).read_text("utf-8").strip()


def test_ci_runs_the_readme_s_test_command() -> None:
    assert "make test" in (ROOT / ".ci" / "run").read_text("utf-8")
    readme = (ROOT / "README.md").read_text("utf-8")
    assert "make book" in readme
    assert "make test" in readme


def test_every_variable_of_ours_stands_in_the_table() -> None:
    """Each line names one in its first cell, or the sentence after the table does."""
    page = (ROOT / "book" / "variables.md").read_text("utf-8")
    code = [path.read_text("utf-8") for path in (ROOT / "safetune_utils").rglob("*.py")]
    used = {name for text in code for name in re.findall(r"\bSAFETUNE_[A-Z_]+\b", text)}
    assert used == set(re.findall(r"`(SAFETUNE_[A-Z_]+)`", page))
    not_for_users = {"SAFETUNE_USED", "SAFETUNE_READ", "SAFETUNE_MEETING", "SAFETUNE_STARTED_BY"}
    for name in used - not_for_users:
        assert f"\n| `{name}` |" in page


def test_the_version_stands_in_one_place() -> None:
    others = [ROOT / name for name in ("CITATION.cff", "README.md", "safetune_utils/__init__.py")]
    assert not [path.name for path in others if PROJECT["version"] in path.read_text("utf-8")]
    assert importlib.metadata.version("safetune-utils") == PROJECT["version"]


def pip_flags(*variables: str) -> str:
    command = ["make", "--silent", "--no-print-directory", "pip-flags", *variables]
    here = {name: value for name, value in os.environ.items() if name not in {"PIP_FLAGS", "MAKEFLAGS"}}
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True, env=here
    ).stdout.strip()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere PyPI's torch is the CPU build")
def test_torch_comes_from_the_index_of_cpu_builds_where_it_answers_and_no_gpu_is_there(
    tmp_path: Path,
) -> None:
    (tmp_path / "torch").mkdir()
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as index:
        threading.Thread(target=index.serve_forever, daemon=True).start()
        at = f"http://127.0.0.1:{index.server_address[1]}"
        there = pip_flags(f"CPU_TORCH={at}")
        index.shutdown()
    with_gpu = Path("/dev/nvidiactl").exists()
    assert there == ("" if with_gpu else f"--extra-index-url {at}")
    assert pip_flags(f"CPU_TORCH={at}") == ""  # it does not answer
    assert pip_flags(f"CPU_TORCH={at}", "PIP_FLAGS=--pre") == "--pre"
    assert pip_flags(f"CPU_TORCH={at}", "PIP_FLAGS=") == ""


@pytest.mark.parametrize("kind", ["cpu", "cuda"])
def test_a_devcontainer_is_made_by_the_container_file_and_sets_up_as_make_does(kind: str) -> None:
    folder = ROOT / ".devcontainer"
    found = json.loads((folder / kind / "devcontainer.json").read_text("utf-8"))
    built = found["build"]
    assert (folder / kind / built["dockerfile"]).resolve() == folder / "Containerfile"
    assert (folder / kind / built["context"]).resolve() == ROOT
    assert f" AS {built['target']}\n" in (folder / "Containerfile").read_text("utf-8")
    assert found["postCreateCommand"].startswith("make setup")
    assert ("--gpus=all" in found.get("runArgs", [])) == (kind == "cuda")


def test_binder_installs_the_package_at_the_versions_of_the_constraints() -> None:
    environment = yaml.safe_load((ROOT / ".binder" / "environment.yml").read_text("utf-8"))
    (pip,) = (entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))
    folder = ROOT / ".binder"
    assert (folder / pip[1].removeprefix("--constraint ")).resolve() == ROOT / "constraints.txt"
    assert (folder / pip[2]).resolve() == ROOT
    assert os.access(folder / "postBuild", os.X_OK)
