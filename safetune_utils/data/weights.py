"""The weights that ship with the book: what each file learned from, and the terms that follow.

They stand in ``data/weights/terms.yml``; a person reads the same in the ``README.md`` beside it.
"""

from __future__ import annotations

from dataclasses import dataclass

import yaml

from safetune_utils.data.register import registered_sets
from safetune_utils.places import data_folder

_CORPUS_LICENCE = "CC-BY-4.0"


@dataclass(frozen=True, kw_only=True)
class ShippedWeights:
    """A file of weights in ``data/weights``.

    Attributes:
        file: its path there.
        form, says: what it is, and what is read from it.
        learned_from: names of registered outside sets, and ``embedded`` for the book's corpus.
        terms: the licence under which it may be used, as SPDX names it.
    """

    file: str
    form: str
    says: str
    learned_from: tuple[str, ...]
    terms: str

    @property
    def licences(self) -> dict[str, str]:
        """The licence of each set that it learned from."""
        known = registered_sets()
        return {
            name: _CORPUS_LICENCE if name == "embedded" else known[name].licence for name in self.learned_from
        }

    @property
    def non_commercial(self) -> bool:
        """Whether its terms forbid commercial use."""
        return "-NC" in self.terms

    @property
    def told(self) -> str:
        """Sources and terms in one sentence, without its first words."""
        sources = ", ".join(f"{name} ({licence})" for name, licence in self.licences.items())
        use = ", so not for commercial use" if self.non_commercial else ""
        return f"learned from {sources}; terms {self.terms}{use}"


def shipped_weights() -> dict[str, ShippedWeights]:
    """Every file of weights in ``data/weights``, by its path there; none where a data folder lists none."""
    path = data_folder() / "weights" / "terms.yml"
    rows = yaml.safe_load(path.read_text("utf-8")) if path.is_file() else []
    entries = [ShippedWeights(**row | {"learned_from": tuple(row["learned_from"])}) for row in rows]
    return {entry.file: entry for entry in entries}
