"""Sentences that name numbers of the run: ``record`` keeps the values, the cell magic ``%%prose`` says them.

``%load_ext safetune_utils.book.prose`` makes the magic known. The body of a ``%%prose`` cell is Markdown with
jinja2 expressions: ``With {{ first }} safety examples, {{ malicious_first }} of the answers refuse.``
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from numbers import Integral
from typing import Any

from jinja2 import Environment, StrictUndefined, TemplateError, TemplateSyntaxError, meta
from markdown_it import MarkdownIt
from markupsafe import Markup, escape

from safetune_utils.book.words import said
from safetune_utils.errors import SafetuneError, closest
from safetune_utils.statistics import Estimate

# What a sentence can name.
Value = Estimate | str | int | None

# The values of the notebook that this process runs.
_recorded: dict[str, Value] = {}

# Stands around the number of a value while Markdown is turned to HTML; a character that no text holds.
_MARK = "\ue000"


def record(**values: Value) -> None:
    """Keep values for the sentences of the page, and for other pages and runs in the output's metadata.

    Nothing is shown.

    Args:
        **values: a number with its interval, a whole number, or words; ``None`` where the data has no such
            number.
    """
    kept = {name: int(value) if isinstance(value, Integral) else value for name, value in values.items()}
    for name, value in kept.items():
        if not isinstance(value, Estimate | str | int | None):
            raise TypeError(f"{name} is {value!r}: record an Estimate, a whole number, or words")
    _recorded.update(kept)
    # A list, because what writes a notebook sorts the keys of a dictionary.
    plain = [
        [name, value.as_data() if isinstance(value, Estimate) else value] for name, value in kept.items()
    ]
    _show({}, about={"values": plain})


def finding(claim: str, value: Estimate) -> None:
    """Record what a page found about a claim of the paper, for the page that lays the paper beside the book.

    Args:
        claim: an id from ``data/paper/claims.yml``.
        value: the paired difference or the share that the claim is judged by.
    """
    record(**{f"claim_{claim}": value})


def record_controls(rows: Sequence[Mapping[str, Any]]) -> None:
    """Keep negative controls of this page's instruments, for the verdicts on its findings. Nothing is shown.

    Args:
        rows: ``instrument, control, n, yes, passes`` each, see
            :class:`~safetune_utils.scoring.controls.ControlRow`.
    """
    _show({}, about={"controls": [dict(row) for row in rows]})


def prose(line: str, cell: str) -> None:
    """The cell magic: show the cell's Markdown with the recorded values in it."""
    markup, text = render(cell, _recorded)
    markup = Markup('<div class="safetune-prose">{}</div>').format(markup)
    _show({"text/html": markup, "text/plain": text}, about={"prose": True})


def _show(data: dict[str, str], *, about: dict[str, Any]) -> None:
    from IPython.display import display  # a notebook's own; what reads its copies needs none of it

    display(data, metadata={"safetune": about}, raw=True)


def load_ipython_extension(shell: Any) -> None:
    """What ``%load_ext`` calls with IPython's shell."""
    shell.register_magic_function(prose, magic_kind="cell")


def render(text: str, values: Mapping[str, Value]) -> tuple[Markup, str]:
    """A sentence with its values, as HTML and as plain text.

    No value passes through Markdown: a mark stands in its place until the sentence is HTML, and what takes
    the mark's place is escaped.

    Raises:
        SafetuneError: the sentence names a value that is not there, is no template, or has a value in the
            address of a link.
    """
    told: list[str] = []

    def mark(value: Value) -> str:
        told.append(said(value))
        return f"{_MARK}{len(told) - 1}{_MARK}"

    environment = Environment(finalize=mark, undefined=StrictUndefined)
    try:
        for name in sorted(names_in(text)):
            _check(name, values)
        marked = environment.from_string(text).render(values)
    except TemplateError as error:
        where = f", line {error.lineno}" if isinstance(error, TemplateSyntaxError) else ""
        raise SafetuneError(f"%%prose{where}: {error.message}") from None
    # With the quotation marks that Sphinx gives the text around it.
    markdown = MarkdownIt("commonmark", {"html": False, "typographer": True}).enable(["table", "smartquotes"])
    markup = markdown.render(marked)
    if markup.count(_MARK) != marked.count(_MARK):
        raise SafetuneError("%%prose: a value in the address of a link: write the address out")
    return Markup(_fill(markup, told, escape)), _fill(marked, told, str)


def names_in(text: str) -> set[str]:
    """The names of the values that a sentence says."""
    return meta.find_undeclared_variables(Environment().parse(text))


def _check(name: str, values: Mapping[str, Value]) -> None:
    if name not in values:
        close = closest(name, values)
        mend = f"did you mean '{close}'?" if close else f"recorded are {', '.join(values) or 'none yet'}"
        raise SafetuneError(f"%%prose names '{name}', which is not recorded: {mend}")


def _fill(marked: str, told: list[str], form: Callable[[str], str]) -> str:
    # Every other part is the number of a value.
    parts = marked.split(_MARK)
    return "".join(form(told[int(part)]) if n % 2 else part for n, part in enumerate(parts))
