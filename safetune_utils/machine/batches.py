"""Rows in batches, the longest first, and results that a stopped run keeps."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

from safetune_utils.terminal import plain, shows

Result = TypeVar("Result")


def longest_first(
    lengths: Sequence[int],
    *,
    rows: int | None = None,
    tokens: int | None = None,
    progress: str | None = None,
    unit: str = "row",
) -> Iterator[list[int]]:
    """The places of rows, 0 to ``len(lengths) - 1``, batch by batch, longest rows first.

    Rows of one batch are about as long, so little of it is padding; if memory runs out it does so at once,
    and the time left is not underestimated. Rows of the same length stay in their order.

    Args:
        lengths: of each row, in tokens, 1 or more.
        rows: the most rows of a batch.
        tokens: the most tokens of a batch, padding included; a longer row is a batch by itself.
        progress: a caption for a progress bar; empty or ``None`` for none.
        unit: what the bar counts.

    Yields:
        The places of one batch's rows: where the caller puts each result, so that all come in the given
        order.
    """
    order = sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True)
    with tqdm(
        total=len(order),
        desc=plain(progress or ""),
        unit=unit,
        disable=not shows(progress or ""),
        mininterval=10,
    ) as bar:
        while order:
            n = len(order) if rows is None else rows
            if tokens is not None:
                n = max(1, min(n, tokens // lengths[order[0]]))
            yield order[:n]
            bar.update(len(order[:n]))
            order = order[n:]


def computed(
    compute: Callable[[list[int]], Sequence[Result]],
    lengths: Sequence[int],
    *,
    rows: int | None = None,
    tokens: int | None = None,
    progress: str | None = None,
    unit: str = "row",
) -> list[Result]:
    """A result for each row, computed batch by batch as :func:`longest_first` gives them.

    Inside a block of :func:`kept_in`, what a batch gave is kept, and a run that was stopped computes the rest
    alone. The batches are the same either way, and so are the results.

    Args:
        compute: called with the places of a batch's rows; returns what JSON can hold, one value a row.
        lengths, rows, tokens, progress, unit: as in :func:`longest_first`.

    Returns:
        One result for each row, in the order of ``lengths``.
    """
    kept = _KEPT.get()
    name = kept.next_name(f"{list(lengths)} {rows} {tokens}") if kept else ""
    before = kept.read(name) if kept else {}
    found: dict[int, Result] = {}
    for part in longest_first(lengths, rows=rows, tokens=tokens, progress=progress, unit=unit):
        results = before.get(tuple(part))
        if results is None:
            results = list(compute(part))
            if kept:
                kept.add(name, part, results)
        found |= zip(part, results, strict=True)
    return [found[i] for i in range(len(lengths))]


@contextlib.contextmanager
def kept_in(path: Path) -> Iterator[None]:
    """Keep the results of every batch that :func:`computed` computes in the block in a file, which is made
    with the first; batches that are in it already are not computed again.

    Whoever wants the work done from the start removes the file. A line that was cut, or changed, counts as
    not there.

    Args:
        path: the file; it must stand for the same rows and the same model each time.
    """
    before = _KEPT.set(_Kept(path))
    try:
        yield
    finally:
        _KEPT.reset(before)


class _Kept:
    """Results of batches in a file of JSON Lines, each with a hash of itself and the file's name before
    it.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._numbers = path, count()

    def next_name(self, about: str) -> str:
        """What tells the results of one call from those of the next."""
        return f"{next(self._numbers)} {hashlib.sha256(about.encode()).hexdigest()[:12]}"

    def read(self, name: str) -> dict[tuple[int, ...], list[Any]]:
        """The results of a call that are there, by the places of their batch."""
        found = {}
        with contextlib.suppress(FileNotFoundError):
            for line in self._path.read_bytes().split(b"\n"):
                digest, _, content = line.partition(b" ")
                if digest == self._digest(content):
                    row = json.loads(content)
                    if row["call"] == name and len(row["places"]) == len(row["results"]):
                        found[tuple(row["places"])] = row["results"]
        return found

    def add(self, name: str, places: list[int], results: list[Any]) -> None:
        content = json.dumps({"call": name, "places": places, "results": results}).encode()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("ab") as file:
            # A line that a kill cut before stays a line of its own.
            file.write(b"\n" + self._digest(content) + b" " + content + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def _digest(self, content: bytes) -> bytes:
        return hashlib.sha256(self._path.name.encode() + b" " + content).hexdigest().encode()


_KEPT: ContextVar[_Kept | None] = ContextVar("kept", default=None)
