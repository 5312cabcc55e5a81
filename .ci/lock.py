"""Write the lock anew: what `make` installs, every package at the version of constraints.txt, with the hashes
of all its files, for Python from 3.11.5 and every system.

It needs uv (`pip install uv`) and PyPI, and is run at the top of the repository: python .ci/lock.py

PyTorch's CUDA parts go into a file of their own, since its CPU build needs none. Of PyTorch's own index,
whose builds are marked +cpu, a file's hash stands here once somebody has taken it from there; where it does
not, PyPI's build with CUDA is installed.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

CPU_BUILDS = [
    # torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl
    "6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b",
]
ABOUT = "# Written by .ci/lock.py out of pyproject.toml and constraints.txt.\n"


def main() -> None:
    wanted = subprocess.run(
        [
            *("uv", "pip", "compile", "pyproject.toml", "--extra", "book", "--extra", "dev", "-"),
            *("--constraint", "constraints.txt", "--universal", "--python-version", "3.11.5"),
            *("--generate-hashes", "--no-header", "--no-annotate", "--quiet"),
        ],
        input=Path("pyproject.toml").read_text("utf-8").split('requires = ["')[1].split('"')[0],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    blocks = re.findall(r"^\S.*(?:\n {4}.*)*", wanted, flags=re.MULTILINE)
    cuda = [block for block in blocks if re.match(r"(nvidia|cuda|triton)\b", block)]
    rest = [block for block in blocks if block not in cuda]
    more = "".join(f" \\\n    --hash=sha256:{one}" for one in CPU_BUILDS)
    rest = [block + more if block.startswith("torch==") else block for block in rest]
    Path("requirements-lock.txt").write_text(ABOUT + "\n".join(rest) + "\n", "utf-8")
    Path("requirements-lock-cuda.txt").write_text(ABOUT + "\n".join(cuda) + "\n", "utf-8")


if __name__ == "__main__":
    main()
