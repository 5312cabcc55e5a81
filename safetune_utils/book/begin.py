"""Can these notebooks begin? What their parameters and files decide is told before a kernel starts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from safetune_utils.annotation import drafting
from safetune_utils.annotation.drafting import Drafting
from safetune_utils.book.imports import python_of
from safetune_utils.book.parameters import Given, validate, with_own_amounts, with_whole_paths
from safetune_utils.settings import Settings
from safetune_utils.study import begin


def check_parameters(chapters: Sequence[tuple[Path, Given]]) -> None:
    """Check all that the parameters of some notebooks decide, in about a second; what several share once.

    A notebook that trains an instrument needs nothing that is not looked for when it runs.

    Raises:
        SafetuneError: a parameter is wrong, or what it names is not there or cannot be used, see
            :func:`safetune_utils.study.begin.check_settings` and
            :func:`safetune_utils.annotation.drafting.check`.
    """
    done: list[object] = []
    for path, given in chapters:
        settings = validate(path, with_whole_paths(given))
        if isinstance(settings, Settings):
            settings = with_own_amounts(path, settings)
        python_of(path)  # which fails where a cell is not Python
        if settings in done:
            continue
        done.append(settings)
        if isinstance(settings, Settings):
            begin.check_settings(settings)
        elif isinstance(settings, Drafting):
            drafting.check(settings)
