"""Rows in batches, the longest first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tqdm import tqdm


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
    with tqdm(total=len(order), desc=progress, unit=unit, disable=not progress, mininterval=10) as bar:
        while order:
            n = len(order) if rows is None else rows
            if tokens is not None:
                n = max(1, min(n, tokens // lengths[order[0]]))
            yield order[:n]
            bar.update(len(order[:n]))
            order = order[n:]
