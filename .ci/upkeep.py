"""Execute the book with the newest versions of all that it stands on, and report what came of it.

What the package needs is taken without its bounds; Jupyter Book keeps its pins, since its next version reads
another kind of configuration. The report goes to the file that GITHUB_STEP_SUMMARY names, else to the screen.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv-newest"


def main() -> int:
    """Make the environment, build the book, report; the status of what failed, or 0."""
    steps = [
        [sys.executable, "-m", "venv", "--clear", str(VENV)],
        [*pip(), "--upgrade", *unbound(), *pinned()],
        [*pip(), "--no-deps", "--editable", str(ROOT)],
        [str(VENV / "bin" / "safetune"), "model", "install"],
        [str(VENV / "bin" / "safetune"), "book", "--preset", "smoke", "--output", str(ROOT / "_build")],
    ]
    failed = None
    for step in steps:
        done = subprocess.run(step, cwd=ROOT, stderr=subprocess.PIPE, text=True)
        sys.stderr.write(done.stderr)
        if done.returncode:
            failed = (step, done)
            break
    text = report(locked(), installed(), failed and (" ".join(failed[0][:4]), failed[1].stderr))
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if summary:
        Path(summary).write_text(text, "utf-8")
    else:
        print(text)
    return failed[1].returncode if failed else 0


def pip() -> list[str]:
    """The command that installs into the environment."""
    return [str(VENV / "bin" / "python"), "-m", "pip", "install", "--quiet"]


def _project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def unbound() -> list[str]:
    """What the package needs, by name alone."""
    return [re.match(r"[\w.-]+", one)[0] for one in _project()["dependencies"]]


def pinned() -> list[str]:
    """What builds the site, as it is pinned."""
    return _project()["optional-dependencies"]["book"]


def locked() -> dict[str, str]:
    """The versions of the lock by name."""
    text = (ROOT / "requirements-lock.txt").read_text("utf-8")
    return {
        name.lower(): version for name, version in re.findall(r"^([\w.-]+)==([\w.+!-]+)", text, re.MULTILINE)
    }


def installed() -> dict[str, str]:
    """The versions of the environment by name; empty where it could not be made."""
    command = [str(VENV / "bin" / "python"), "-m", "pip", "list", "--format=freeze"]
    try:
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return {}
    return {name.lower(): version for name, version in re.findall(r"^([\w.-]+)==(\S+)", text, re.MULTILINE)}


def report(before: dict[str, str], now: dict[str, str], failure: tuple[str, str] | None) -> str:
    """What came of it, as Markdown: whether it ran, and each version that is not the lock's."""
    if failure:
        lines = [f"**The book does not run with the newest versions.** `{failure[0]}` failed:", "", "```"]
        lines += [*failure[1].strip().splitlines()[-15:], "```"]
    else:
        lines = ["**The book runs with the newest versions.**"]
    changed = {name: version for name, version in now.items() if name in before and before[name] != version}
    lines += ["", "| package | lock | newest |", "|---|---|---|"]
    lines += [f"| {name} | {before[name]} | {version} |" for name, version in sorted(changed.items())]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
