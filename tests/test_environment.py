"""The ways to install give the same versions."""

from __future__ import annotations

import http.server
import importlib.metadata
import re
import subprocess
import sys
import threading
import tomllib
from functools import partial
from pathlib import Path

import pytest
import yaml

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


def test_every_dependency_is_pinned_and_the_extras_are_there() -> None:
    assert set(EXTRAS) == {"book", "gpu", "api", "bench", "cluster", "capability", "dev"}
    pins([*PROJECT["dependencies"], *(line for extra in EXTRAS.values() for line in extra)])


def test_environment_yml_gives_the_versions_of_pyproject() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text("utf-8"))
    (pip,) = (entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))
    assert pip[-1] == "-e ."
    assert pins(pip[:-1]) == pins([*PROJECT["dependencies"], *EXTRAS["book"], *EXTRAS["dev"]])


def test_constraints_hold_every_pin_and_are_what_is_installed() -> None:
    lines = [
        line
        for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines()
        if line and not line.startswith("#")
    ]
    constraints = pins(lines)
    for name, version in pins([*PROJECT["dependencies"], *EXTRAS["book"], *EXTRAS["dev"]]).items():
        assert constraints[name] == version
        assert importlib.metadata.version(name).split("+")[0] == version


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
    for name in used - {"SAFETUNE_USED", "SAFETUNE_READ", "SAFETUNE_MEETING"}:
        assert f"\n| `{name}` |" in page


def test_the_version_stands_in_one_place() -> None:
    others = [ROOT / name for name in ("CITATION.cff", "README.md", "safetune_utils/__init__.py")]
    assert not [path.name for path in others if PROJECT["version"] in path.read_text("utf-8")]
    assert importlib.metadata.version("safetune-utils") == PROJECT["version"]


def pip_flags(*variables: str) -> str:
    command = ["make", "--silent", "--no-print-directory", "pip-flags", *variables]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


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
