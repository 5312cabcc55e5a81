"""What this machine has and what it lacks, for each use of the book, and the one command that mends it."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypedDict

from safetune_utils import places
from safetune_utils.errors import SafetuneError
from safetune_utils.machine.device import n_gpus, n_threads, planned
from safetune_utils.machine.memory import memory_bytes
from safetune_utils.models import embedded
from safetune_utils.models.identity import identity
from safetune_utils.places import cache_folder, data_folder, store_folder

GB = 1e9
# The base model of the presets course, paper and repository.
_LARGER = "huggyllama/llama-7b"
# What people do with the book.
USES = {
    "read": "read the book: build its pages",
    "pocket": "run it here: the presets smoke, classroom and pocket",
    "gpu": "run it with a larger model: the presets course, paper and repository",
    "cluster": "run it on a cluster, with a run store that all its nodes see",
    "teach": "teach with it: a class runs the chapters",
}


class Finding(TypedDict):
    """One check: for which use, what was looked at, what was found, whether that is enough, and if not the
    command that mends it.
    """

    use: str
    what: str
    found: str
    ok: bool
    mend: str


def findings(uses: Sequence[str] = tuple(USES)) -> list[Finding]:
    """Every check of this machine for some of :data:`USES`, in the order in which they are shown."""
    looks = {"read": _read, "pocket": _pocket, "gpu": _gpu, "cluster": _cluster, "teach": _teach}
    return [{"use": use, **one} for use in uses for one in looks[use]()]


class _Look(TypedDict):
    """A finding without its use."""

    what: str
    found: str
    ok: bool
    mend: str


def _read() -> list[_Look]:
    clone = places.clone()
    page = (clone or Path.cwd()) / "_build" / "html" / "index.html"
    built = "make book" if clone else "safetune book"
    version = sys.version_info[:3]
    return [
        _look(
            "Python", platform.python_version(), version >= (3, 11, 5), "make PYTHON=/path/to/python3.11 book"
        ),
        _attempt("data folder", lambda: str(data_folder()), "export SAFETUNE_DATA=/the/repository/data"),
        _package("jupyter-book", "jupyter_book", "book"),
        _look("built book", str(page) if page.is_file() else "not built yet", page.is_file(), built),
    ]


def _pocket() -> list[_Look]:
    memory, store, cache = memory_bytes() / GB, store_folder(), cache_folder()
    free = shutil.disk_usage(_existing(store)).free / GB
    _, precision = planned(device="cpu") if _is_installed("torch") else ("cpu", "unknown")
    return [
        _package("PyTorch", "torch", "book"),
        _attempt("embedded model", _embedded_model, embedded.INSTALL),
        _look(
            "memory",
            f"{memory:.0f} GB with swap",
            memory > 5,
            "safetune book --preset classroom -p recipe '{\"micro_batch_tokens\": 512}'"
            "  (the pocket preset takes 4 GB at its peak)",
        ),
        _look(
            "disk for the run store",
            f"{free:.0f} GB free at {store}",
            free > 2,
            "export SAFETUNE_STORE=/a/disk/with/2/GB/free",
        ),
        _writable("run store", store, "export SAFETUNE_STORE=/a/folder/that/can/be/written"),
        _writable("cache", cache, "export SAFETUNE_CACHE=/a/folder/that/can/be/written"),
        _look("processor", f"{n_threads()} threads, number format {precision}", True, ""),
    ]


def _gpu() -> list[_Look]:
    return [
        _accelerator(),
        _package("bitsandbytes", "bitsandbytes", "gpu"),
        _attempt(_LARGER, lambda: identity(_LARGER), f"hf download {_LARGER}"),
    ]


def _accelerator() -> _Look:
    least = 15  # of the preset course, with LLaMA-7B in four bits
    mend = "safetune estimate --preset course --hardware T4  (says what a GPU would need; rent or borrow one)"
    if not _is_installed("torch") or not n_gpus():
        driver = Path("/dev/nvidiactl").exists()
        if driver:
            mend = "pip install --force-reinstall torch --index-url https://download.pytorch.org/whl/cu128"
        found = "a driver, but PyTorch sees no GPU" if driver else "none"
        return _look("GPU", found, False, mend)
    import torch

    gpu = torch.cuda.get_device_properties(0)
    memory = gpu.total_memory / GB
    return _look("GPU", f"{gpu.name}, {memory:.0f} GB", memory > least, mend)


def _cluster() -> list[_Look]:
    scheduler = shutil.which("sbatch")
    shared = os.environ.get("SAFETUNE_STORE", "")
    return [
        _package("Snakemake", "snakemake", "cluster"),
        _package("its Slurm executor", "snakemake_executor_plugin_slurm", "cluster"),
        _look("Slurm", scheduler or "no sbatch here", bool(scheduler), "ssh to the cluster's login node"),
        _look(
            "run store that all nodes see",
            shared or "not named",
            bool(shared),
            "export SAFETUNE_STORE=/a/shared/folder",
        ),
    ]


def _teach() -> list[_Look]:
    try:
        folder = data_folder().parent / "notebooks"
        chapters = len(list(folder.glob("*.ipynb")))
    except SafetuneError:
        chapters = 0
    return [
        _package("JupyterLab", "jupyterlab", "book"),
        _package("kernel for notebooks", "ipykernel", "book"),
        _look("chapters", f"{chapters} notebooks", chapters > 0, "git clone the book's repository"),
        _attempt("embedded model", _embedded_model, embedded.INSTALL),
    ]


def _embedded_model() -> str:
    embedded.check_there()
    folder = next((cache_folder() / "models").glob("smollm2-135m-bf16-*/config.json"), None)
    return (
        f"converted in {folder.parent}" if folder else f"{embedded.gguf_path()}, to be converted on first use"
    )


def _package(what: str, module: str, extra: str) -> _Look:
    there = _is_installed(module)
    return _look(what, "installed" if there else "not installed", there, places.extra(extra))


def _is_installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _writable(what: str, folder: Path, mend: str) -> _Look:
    there = _existing(folder)
    return _look(what, str(folder), there.is_dir() and os.access(there, os.W_OK), mend)


def _look(what: str, found: str, ok: bool, mend: str) -> _Look:
    return {"what": what, "found": found, "ok": ok, "mend": "" if ok else mend}


def _attempt(what: str, look: Callable[[], str], mend: str) -> _Look:
    try:
        return _look(what, look(), True, "")
    except SafetuneError as error:
        return _look(what, str(error).partition(":")[0], False, mend)


def _existing(path: Path) -> Path:
    return next(one for one in (path, *path.absolute().parents) if one.exists())
