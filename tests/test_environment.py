"""The ways to install give the same versions."""

from __future__ import annotations

import importlib.metadata
import re
import tomllib

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
    "name", ["README.md", "LICENSE", "DATA_LICENSE", "CITATION.cff", "Makefile", "_config.yml", "_toc.yml"]
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
    for name in used - {"SAFETUNE_USED", "SAFETUNE_READ"}:
        assert f"\n| `{name}` |" in page


def test_the_version_stands_in_one_place() -> None:
    others = [ROOT / name for name in ("CITATION.cff", "README.md", "safetune_utils/__init__.py")]
    assert not [path.name for path in others if PROJECT["version"] in path.read_text("utf-8")]
    assert importlib.metadata.version("safetune-utils") == PROJECT["version"]
