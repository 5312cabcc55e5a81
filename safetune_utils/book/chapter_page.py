"""A chapter's page, assembled from its executed notebook: the result first, how it was run last.

The notebook keeps the order of the experiment. Its page begins with what was found: a sentence with the
number, the verdict on the paper's claim and the main figure. Then come the argument, how to read the number,
and the limits; one fold at the end holds the parameters, the command, the code and the record.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from markupsafe import Markup

from safetune_utils.book import glossary, outputs, prose, provenance, run_card
from safetune_utils.book.chapters import Chapter
from safetune_utils.book.launch import addresses, is_install_cell, launch_line
from safetune_utils.book.markup import Link, block, paragraph, parsed, render
from safetune_utils.book.notebook_file import whole_notebook
from safetune_utils.book.verdicts import Judged
from safetune_utils.book.words import said
from safetune_utils.errors import SafetuneError
from safetune_utils.statistics import Estimate
from safetune_utils.teaching.chapters import taught
from safetune_utils.teaching.folding import result

if TYPE_CHECKING:
    import nbformat

# Sections of a notebook that are about the run and not about what was found; they stand in the last fold.
_OF_THE_RUN = {"Parameters", "The runs", "How the training went", "How it came to be", "Try it"}
_LIMITS = {"What this shows and what it does not", "Limits"}
_WORDS_A_MINUTE = 150
_MOST_ROWS = 14  # of a table that stands open
_MANY_COLUMNS = 6
_INTERVAL = (
    "In brackets stands the interval: the true value lies in about 95 of 100 intervals that are made like"
    " this one."
)


class _Section(NamedTuple):
    """A part of a notebook under a heading of the second rank; without one before the first such heading."""

    heading: str
    cells: list[Any]


def page(
    executed: Path, *, chapter: Chapter, changes: Sequence[str] = (), judged: Sequence[Judged] = ()
) -> nbformat.NotebookNode:
    """An executed notebook as the book shows it.

    Args:
        chapter: what its notebook says of itself.
        changes: what changed since it was executed, from :func:`safetune_utils.book.freshness.changes`; empty
            for a fresh one.
        judged: the paper's claims in this run; those of other chapters are passed over.

    Raises:
        SafetuneError: the chapter's headline names a value that the notebook did not record.
    """
    import nbformat

    notebook = whole_notebook(executed)
    name = executed.stem
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code" and _is_shown(cell)]
    cells = [cell for cell in notebook.cells if not is_install_cell(cell.metadata)]
    first, *sections = _sections(cells)
    figure = _taken(cells, chapter.figures[0]) if chapter.figures else ""
    dials = "\n".join(outputs.dials(executed).values())
    banner = _taken_banner(cells)
    argument = [one for one in sections if one.heading not in _OF_THE_RUN | _LIMITS]
    limits = [one for one in sections if one.heading in _LIMITS]
    of_the_run = [one for one in sections if one.heading in _OF_THE_RUN]

    values = outputs.values(executed)
    headline = provenance.linked(_headline(chapter, values), notebook=name)
    found = [headline, _verdicts(judged, chapter.name), provenance.linked(figure, notebook=name), dials]
    parts = [
        f"# {int(chapter.number) if chapter.number.isdigit() else chapter.number}. {chapter.title}",
        block(_facts(notebook, executed, chapter=chapter)),
        _stale(changes) if changes else "",
        result("\n\n".join(block(one) for one in found if one)),
        _after_title(first),
        block(banner) if banner else "",
    ]
    shown = [nbformat.v4.new_markdown_cell("\n\n".join(filter(None, parts)), id="safetune-head")]
    for section in [_Section("", first.cells[1:]), *argument]:
        shown += _with_outputs(section, notebook=name)
    shown.append(nbformat.v4.new_markdown_cell(_how_to_read(chapter, values), id="safetune-read"))
    for section in limits:
        shown += _with_outputs(section, notebook=name)
    glossary.link_first_uses(shown)
    fold = _fold(executed, code=code, sections=of_the_run)
    shown.append(nbformat.v4.new_markdown_cell(fold, id="safetune-provenance"))
    notebook.cells = shown
    return notebook


def welcome_head(executed: Path, *, chapter: Chapter) -> str:
    """What the welcome page begins with, as HTML: a chapter's sentence, its figure and its dial."""
    figure = outputs.drawn(executed).get(next(iter(chapter.figures), ""))
    shown = provenance.linked(figure.markup, notebook=executed.stem, folder="../notebooks/") if figure else ""
    for ends, instead in (
        ("<figcaption>", "<figcaption><details><summary>What the figure shows</summary>"),
        ("</figcaption>", "</details></figcaption>"),
    ):
        shown = shown.replace(ends, instead)
    told = _headline(chapter, outputs.values(executed))
    sentence = Markup(provenance.linked(told, notebook=executed.stem, folder="../notebooks/"))
    dials = "\n".join(outputs.dials(executed).values())
    return render("welcome_head", sentence=sentence, figure=Markup(shown), dial=Markup(dials))


def _about(output: Any) -> dict[str, Any]:
    """What our metadata says of an output; a print has none."""
    return output.get("metadata", {}).get("safetune", {})


def _is_shown(cell: Any) -> bool:
    return not is_install_cell(cell.metadata) and not cell.source.startswith("%%prose")


def _sections(cells: Sequence[Any]) -> list[_Section]:
    """A notebook by its headings of the second rank; a cell that holds several is taken apart."""
    import nbformat

    found = [_Section("", [])]
    for cell in cells:
        if cell.cell_type != "markdown":
            found[-1].cells.append(cell)
            continue
        for number, text in enumerate(_taken_apart(cell.source)):
            part = nbformat.v4.new_markdown_cell(text, id=f"{cell.id}-{number}"[:64] if number else cell.id)
            if text.startswith("## "):
                found.append(_Section(text.split("\n")[0].removeprefix("## ").strip(), []))
            found[-1].cells.append(part)
    return found


def _taken_apart(text: str) -> Iterator[str]:
    """A text of Markdown before each heading of the second rank that stands in no block of code."""
    lines: list[str] = []
    fenced = False
    for line in text.split("\n"):
        fenced ^= line.startswith("```")
        if line.startswith("## ") and not fenced and lines:
            yield "\n".join(lines).strip()
            lines = []
        lines.append(line)
    yield "\n".join(lines).strip()


def _after_title(first: _Section) -> str:
    return first.cells[0].source.partition("\n")[2].strip() if first.cells else ""


def _taken(cells: Sequence[Any], figure: str) -> str:
    """The markup of a figure, which leaves a line in its place; empty where it was not drawn."""
    for cell in cells:
        for output in cell.get("outputs", []):
            if _about(output).get("figure") == figure:
                markup = str(output.data["text/html"])
                output.data["text/html"] = paragraph(
                    [Link("The figure", f"#figure-{figure}"), " stands above."]
                )
                return markup
    return ""


def _taken_banner(cells: Sequence[Any]) -> str:
    """The line on what was run, taken out of its cell; empty where there is none."""
    for cell in cells:
        for output in cell.get("outputs", []):
            if "safetune-banner" in str(output.get("data", {}).get("text/html", "")):
                cell.outputs.remove(output)
                return str(output.data["text/html"])
    return ""


def _with_outputs(section: _Section, *, notebook: str) -> list[Any]:
    """A section's cells without their code: what they say, and what they put out."""
    shown = []
    for cell in section.cells:
        if cell.cell_type == "code":
            tags = set(cell.metadata.get("tags", []))
            # Where values are recorded nothing is shown; the dial stands at the head.
            cell.outputs = [
                output for output in cell.outputs if output.get("data", True) and "dial" not in _about(output)
            ]
            if "remove-output" in tags or not cell.outputs:
                continue
            for output in cell.outputs:
                if markup := output.get("data", {}).get("text/html"):
                    linked = provenance.linked(markup, notebook=notebook)
                    output.data["text/html"] = _folded(_moved(linked), always="hide-output" in tags)
            cell.metadata["tags"] = ["remove-input"]
        shown.append(cell)
    return shown


def _moved(markup: str) -> str:
    """A table of many columns in a box of its own, which is moved sideways where the page is too narrow."""
    first = parsed(markup).select_one(".safetune-table tr")
    wide = first is not None and len(first.find_all(["th", "td"])) >= _MANY_COLUMNS
    return render("wide", body=Markup(markup)) if wide else markup


def _folded(markup: str, *, always: bool) -> str:
    """A table of many rows, or ``always`` what it is, under a line that opens it."""
    rows = len(parsed(markup).select(".safetune-table tbody tr"))
    if not always and rows <= _MOST_ROWS:
        return markup
    summary = f"The whole table, {rows} rows" if rows else "Show more"
    return render("more", summary=summary, body=Markup(markup))


def _facts(notebook: nbformat.NotebookNode, executed: Path, *, chapter: Chapter) -> str:
    """How long it takes to read and to run, and what that needs; to read, what the course says, where it says
    it.
    """
    known = taught().get(chapter.number)
    minutes = known.minutes if known else max(1, round(n_words(notebook) / _WORDS_A_MINUTE))
    facts = {"to read": f"{minutes} min"}
    if record := provenance.provenance(executed):
        facts |= run_card.needs(record)
    return render("facts", facts=facts)


def n_words(notebook: nbformat.NotebookNode) -> int:
    """How many words an executed notebook says, in its texts and in its sentences with numbers."""
    words = 0
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            words += len(cell.source.split())
        for output in cell.get("outputs", []):
            if _about(output).get("prose"):
                words += len(output.data["text/plain"].split())
    return words


def _headline(chapter: Chapter, values: Mapping[str, prose.Value]) -> Markup:
    """The sentence with the result; empty for a chapter that names none, or a copy that recorded nothing."""
    if not (chapter.headline and values):
        return Markup()
    try:
        markup, _ = prose.render(chapter.headline, values)
    except SafetuneError as error:
        raise SafetuneError(f"{chapter.name}, headline in its metadata: {error}") from None
    return render("headline", sentence=markup)


def _verdicts(judged: Sequence[Judged], name: str) -> str:
    own = [one for one in judged if one.chapter == name]
    return render("verdict_lines", judged=own, page="../book/verdicts.html") if own else ""


def _stale(changes: Sequence[str]) -> str:
    shown = ", ".join(changes[:6]) + (f" and {len(changes) - 6} more" if len(changes) > 6 else "")
    text = (
        f"Since this page was executed, these have changed: {shown}. Its numbers may not be what it would"
        " find now."
    )
    return block(render("admonition", kind="warning safetune-stale", title="Stale", texts=[text]))


def _how_to_read(chapter: Chapter, values: Mapping[str, prose.Value]) -> str:
    """What the number of the headline says, in plain words."""
    named = re.findall(r"\{\{\s*(\w+)\s*\}\}", chapter.headline)
    numbers = [value for name in named if isinstance(value := values.get(name), Estimate)]
    number = next((one for one in numbers if not math.isnan(one.low)), None)
    lines = ["## How to read this number"]
    if number is not None and number.is_change:
        lines.append(
            result(
                f'"{said(number).capitalize()}": the same requests were compared before and after, and the'
                f" share moved by so many points of 100. {_INTERVAL} If the interval holds 0, no change"
                " was seen; that is not the same as no change."
            )
        )
    elif number is not None and number.unit == "share":
        counted = "scored answers" if number.of == "prompts" else number.of
        lines.append(
            result(
                f'"{said(number)}": of {number.n or "all"} {counted} so many of 100 do what the sentence'
                f" says. {_INTERVAL} Few {counted.removeprefix('scored ')} give a wide interval."
            )
        )
    else:
        lines.append(f"{_INTERVAL} Few answers give a wide interval.")
    lines.append(
        "The interval is about the choice of requests, and of seeds if there are several. It is not about"
        " the model, the data or the scorer: with others the number can be another, and the scorer makes"
        " mistakes ([how many](../book/instruments.md)). So read the direction first, and the height with"
        " care. [How to read a page](../book/reading.md), [every method with its"
        " reason](../book/statistics.md)."
    )
    return "\n\n".join(lines)


def _fold(executed: Path, *, code: Sequence[str], sections: Sequence[_Section]) -> str:
    """How it was run: the parameters, the command, the code and the record, folded."""
    inside = [
        run_card.card(executed),
        block(render("downloads", name=executed.stem, pdf="")),
        launch_line(executed.stem, addresses()),
        *_of_the_run(sections, notebook=executed.stem),
        "**The code**",
        *(_fenced(source, kind="{code-block} ipython3") for source in code),
        "**The record**",
        provenance.closing(executed),
    ]
    body = "\n\n".join(filter(None, inside))
    fence = _fence(body)
    return (
        f"## How it was run\n\n{fence}{{dropdown}} Parameters, command, code and record\n"
        f":class-container: safetune-run\n\n{body}\n{fence}\n"
    )


def _of_the_run(sections: Sequence[_Section], *, notebook: str) -> Iterator[str]:
    """What the sections about the run say and show, as Markdown without headings."""
    for section in sections:
        for cell in section.cells:
            if cell.cell_type == "markdown":
                text = cell.source
                if text.startswith("## "):
                    heading, _, rest = text.partition("\n")
                    text = f"**{heading.removeprefix('## ').strip()}**\n\n{rest.strip()}"
                yield text
            elif "remove-output" not in cell.metadata.get("tags", []):
                shown = [output.get("data", {}).get("text/html") for output in cell.outputs]
                yield from (block(provenance.linked(one, notebook=notebook)) for one in shown if one)


def _fenced(text: str, *, kind: str) -> str:
    fence = _fence(text)
    return f"{fence}{kind}\n{text}\n{fence}"


def _fence(text: str) -> str:
    """The marks of a block, longer than any in its text."""
    return "`" * (1 + max([2, *(len(run) for run in re.findall("`+", text))]))


def executed_download(executed: Path) -> str:
    """An executed notebook to be downloaded, as JSON, without the prompts and answers that its page folds."""
    import nbformat

    notebook = whole_notebook(executed)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            markup = output.get("data", {}).get("text/html", "")
            if parsed(markup).select_one(".safetune-answers"):
                told = "Prompts and answers were left out of this copy: run the notebook to see them."
                output.data = {"text/html": paragraph(told), "text/plain": told}
    return nbformat.writes(notebook)
