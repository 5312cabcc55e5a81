"""Outside sets: registered in ``data/register.yml`` by repository, commit, path and hash, and fetched when
they are needed.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypedDict, cast

from filelock import FileLock
from tqdm import tqdm

from safetune_utils import strict_yaml
from safetune_utils.errors import SafetuneError, first_line
from safetune_utils.places import cache_folder, data_folder
from safetune_utils.terminal import plain, say, shows

_TIMEOUT_SECONDS = 30
_LOOK_SECONDS = 5

# The licence of a set whose authors name none.
NOT_STATED = "not stated"


@dataclass(frozen=True, kw_only=True)
class OutsideSet:
    """One file in a public repository at a fixed commit, identified by its hash.

    Attributes:
        name: of the set; also that of :func:`fetch`.
        repository, commit, path: where the file is; the repository is ``owner/name`` on GitHub.
        tests: what the set is for.
        form: what a row is, such as ``instructions`` or ``training rows``.
        rows, columns: how many rows the file has, and its columns.
        bytes, sha256: ``None`` where the authors of the book never had the file; the git blob id then
            verifies it.
        git_blob: git's id of the file.
        licence, citation, note: for the data cards.
    """

    name: str
    repository: str
    commit: str
    path: str
    tests: str
    form: str
    rows: int
    columns: list[str]
    bytes: int | None
    sha256: str | None
    git_blob: str
    licence: str
    citation: str
    note: str

    @property
    def relative(self) -> Path:
        """The file's path in the cache and on a mirror."""
        return Path(self.repository) / self.commit / self.path

    @property
    def url(self) -> str:
        """The address that the file is fetched from."""
        return f"https://raw.githubusercontent.com/{self.repository}/{self.commit}/{self.path}"

    @property
    def non_commercial(self) -> bool:
        """Whether the licence forbids commercial use."""
        return "-NC" in self.licence

    @property
    def terms(self) -> str:
        """The licence, with what follows from it for whoever uses the set."""
        if self.licence == NOT_STATED:
            return f"{NOT_STATED}: to measure with, and nothing of it to be passed on"
        return f"{self.licence}, non-commercial use only" if self.non_commercial else self.licence


class Benchmark(TypedDict):
    """A benchmark that lm-evaluation-harness downloads itself; ``task`` is its name there."""

    name: str
    tests: str
    task: str
    source: str
    licence: str
    citation: str


class NotReleased(TypedDict):
    """A set of the paper that nobody can fetch: what it tests, and what the book uses instead."""

    name: str
    tests: str
    instead: str


_PARTS = ("files", "benchmarks", "not_released")


class _Register(TypedDict):
    """The content of ``register.yml``; ``files`` are groups of sets with what they have in common."""

    files: list[dict[str, Any]]
    benchmarks: list[Benchmark]
    not_released: list[NotReleased]


def registered_sets() -> dict[str, OutsideSet]:
    """Every outside set that can be fetched, by name."""
    found = {}
    try:
        for group in _content()["files"]:
            shared = {key: value for key, value in group.items() if key != "sets"}
            for entry in group["sets"]:
                found[entry["name"]] = OutsideSet(**shared, **entry)
    except (KeyError, TypeError, AttributeError):
        raise _no_register() from None
    return found


def benchmarks() -> list[Benchmark]:
    """The benchmarks that lm-evaluation-harness downloads itself."""
    return _content()["benchmarks"]


def not_released() -> list[NotReleased]:
    """Sets of the paper that nobody can fetch."""
    return _content()["not_released"]


def fetch(name: str) -> Path:
    """The path of a verified copy of an outside set, read from the mirror, the cache or its repository.

    With ``SAFETUNE_MIRROR=DIR`` the file is read from ``DIR/<owner>/<repo>/<commit>/<path>`` and nothing is
    downloaded. A download that breaks off continues where it stopped when the set is asked for again. A
    licence that forbids commercial use, or that is not stated, is named on standard error when a file is
    downloaded.

    Raises:
        SafetuneError: an unknown name, a file that cannot be fetched, or one whose hash is wrong (it is not
            kept).
    """
    known = registered_sets()
    if name not in known:
        raise SafetuneError(f"unknown outside set '{name}': choose from {', '.join(known)}")
    entry = known[name]
    mirror = _mirror()
    if mirror:
        path = mirror / entry.relative
        if not path.is_file():
            raise SafetuneError(
                f"{name} is not on the mirror {mirror} ({entry.relative}): add it there, or unset "
                "SAFETUNE_MIRROR to download it"
            )
        _check_hash(entry, path)
        return path
    path = _cached(entry)
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):  # two processes never write to one partial file
        if path.is_file():
            _check_hash(entry, path)
            return path
        partial = path.with_name(f"{path.name}.part")
        _download(entry, partial)
        try:
            _check_hash(entry, partial, where=entry.url)
        except SafetuneError:
            partial.unlink()
            raise
        partial.replace(path)
    return path


def is_at_hand(name: str) -> bool:
    """Whether a set can be read without a download."""
    entry = registered_sets()[name]
    mirror = _mirror()
    return (mirror / entry.relative if mirror else _cached(entry)).is_file()


def verify() -> Iterator[tuple[str, str]]:
    """Hash every outside set that can be read without a download.

    Yields:
        Its name, and what is wrong with it, or an empty text.
    """
    mirror = _mirror()
    for entry in registered_sets().values():
        path = mirror / entry.relative if mirror else _cached(entry)
        if path.is_file():
            try:
                _check_hash(entry, path)
            except SafetuneError as error:
                yield entry.name, str(error)
            else:
                yield entry.name, ""


def whereabouts() -> dict[str, str]:
    """Where each outside set is, by its name.

    It is ``mirror``, ``not on the mirror``, ``cached``, ``reachable`` or ``out of reach``. Without a mirror,
    the repositories of all sets that are not cached get a HEAD request for the file, at the same time.
    """
    known = registered_sets()
    mirror = _mirror()
    if mirror:
        return {
            name: "mirror" if (mirror / entry.relative).is_file() else "not on the mirror"
            for name, entry in known.items()
        }
    found = {name: "cached" for name, entry in known.items() if _cached(entry).is_file()}
    missing = [entry for name, entry in known.items() if name not in found]
    with ThreadPoolExecutor(max_workers=16) as pool:
        responses = pool.map(_is_reachable, missing)
        found |= {
            entry.name: "reachable" if there else "out of reach"
            for entry, there in zip(missing, responses, strict=True)
        }
    return {name: found[name] for name in known}


def _content() -> _Register:
    path = _register_file()
    return _parsed(path, path.stat().st_mtime_ns)


@cache
def _parsed(path: Path, changed_ns: int) -> _Register:
    found = strict_yaml.read(path)
    if not isinstance(found, dict) or not all(isinstance(found.get(one), list) for one in _PARTS):
        raise _no_register()
    return cast(_Register, found)


def _register_file() -> Path:
    return data_folder() / "register.yml"


def _no_register() -> SafetuneError:
    return SafetuneError(
        f"{_register_file()} is no register of data sets: set SAFETUNE_DATA to a folder with the book's own,"
        " or unset it"
    )


def _mirror() -> Path | None:
    given = os.environ.get("SAFETUNE_MIRROR")
    return Path(given) if given else None


def _cached(entry: OutsideSet) -> Path:
    return cache_folder() / "data" / entry.relative


def _is_reachable(entry: OutsideSet) -> bool:
    import httpx

    try:
        return httpx.head(entry.url, follow_redirects=True, timeout=_LOOK_SECONDS).is_success
    except httpx.HTTPError:
        return False


def _download(entry: OutsideSet, partial: Path) -> None:
    """Download a file to ``partial``, after what an earlier try left there."""
    import httpx

    if entry.terms != entry.licence:
        say(f"{entry.name}: licence {entry.terms} ({entry.citation})", error=True)
    there = partial.stat().st_size if partial.is_file() else 0
    # With compression the range would be one of the compressed file.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={there}-"} if there else {})
    try:
        with httpx.stream(
            "GET", entry.url, headers=headers, follow_redirects=True, timeout=_TIMEOUT_SECONDS
        ) as reply:
            if reply.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
                return  # the whole file is there already; its hash is checked next
            reply.raise_for_status()
            goes_on = reply.status_code == httpx.codes.PARTIAL_CONTENT
            with (
                partial.open("ab" if goes_on else "wb") as file,
                tqdm(
                    total=entry.bytes,
                    initial=there if goes_on else 0,
                    unit="B",
                    unit_scale=True,
                    desc=plain(entry.name),
                    disable=not shows(entry.name),
                ) as bar,
            ):
                for chunk in reply.iter_bytes():
                    bar.update(file.write(chunk))
    except httpx.HTTPError as error:
        kept = (
            f"; {partial.stat().st_size:,} bytes are kept, and the next try goes on from there"
            if partial.is_file() and partial.stat().st_size
            else ""
        )
        raise SafetuneError(
            f"{entry.name} could not be downloaded from {entry.url} ({first_line(error)}){kept}: "
            "check the network, or set SAFETUNE_MIRROR to a folder that holds it"
        ) from None


def _check_hash(entry: OutsideSet, path: Path, *, where: str = "") -> None:
    with path.open("rb") as file:
        if entry.sha256:
            kind, expected, found = "sha256", entry.sha256, hashlib.file_digest(file, "sha256").hexdigest()
        else:
            kind, expected = "git blob id", entry.git_blob
            # git hashes a header with the size before the content.
            found = hashlib.sha1(b"blob %d\0" % path.stat().st_size + file.read()).hexdigest()
    if found != expected:
        advice = where or f"{path}; delete that file and fetch it again"
        raise SafetuneError(
            f"{entry.name} has the wrong {kind} ({found[:12]}…, expected {expected[:12]}…) and is not used: "
            f"{advice}"
        )
