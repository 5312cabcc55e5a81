"""How each page came to be: a run record beside it, links to that from every figure and table, and the list
of all runs.

Everything is read from the executed notebooks, which :func:`safetune_utils.book.notebooks.execute` gave their
records.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, NotRequired, TypedDict, cast
from urllib.parse import urlsplit

from safetune_utils import store
from safetune_utils.book.markup import Code, Link, block, paragraph, parsed, render, table
from safetune_utils.book.notebook_file import read_notebook
from safetune_utils.book.parameters import Given
from safetune_utils.machine.surroundings import Surroundings

if TYPE_CHECKING:
    from bs4 import BeautifulSoup

NO_RECORD = "This copy was not run by `safetune`, so there is no record of it."


class MadeFrom(TypedDict):
    """What an executed copy depends on.

    Attributes:
        notebook: the hash of the notebook itself.
        parameters: those that were given.
        code, files: hashes by path, of the package's code and of data.
    """

    notebook: str
    parameters: Given
    code: dict[str, str]
    files: dict[str, str]


class PageRecord(Surroundings):
    """How an executed notebook came to be.

    Attributes:
        schema: which parameters it takes.
        notebook: its name.
        settings: all of them.
        made_from: what it depends on.
        started: in UTC, to the second.
        seconds: that it took.
        peak_memory_bytes: the highest memory of all its processes, added up.
        adapters: the record of each adapter by its name.
        instruments: the version of each instrument; a copy that is older than this entry has none.
    """

    schema: str
    notebook: str
    settings: store.Facts
    made_from: MadeFrom
    started: str
    seconds: float
    peak_memory_bytes: int
    adapters: dict[str, store.Record]
    instruments: NotRequired[dict[str, int]]


def provenance(executed: Path) -> PageRecord | None:
    """How an executed notebook came to be, or ``None`` where it was not run by
    :func:`safetune_utils.book.notebooks.execute`.
    """
    # A notebook of ours has an entry of that name before it is run, too: it names the schema.
    found = read_notebook(executed).metadata.get("safetune")
    return cast("PageRecord", found) if isinstance(found, dict) and "made_from" in found else None


def record_name(notebook: str) -> str:
    """The file name of a page's run record, beside the page."""
    return f"{notebook}.run.json"


def values_name(notebook: str) -> str:
    """The file name of the values that a page's sentences name, beside the page."""
    return f"{notebook}.values.csv"


def record_text(executed: Path) -> str:
    """A page's run record as JSON; of a copy that holds none, an empty one."""
    return json.dumps(provenance(executed) or {}, indent=1, ensure_ascii=False) + "\n"


def linked(markup: str, *, notebook: str, folder: str = "") -> str:
    """HTML as the site shows it: each caption of a figure or table also links to the run record of its page,
    which lies in ``folder``, and so does each sentence, with a link to its numbers; a sentence links to pages
    of the site.
    """
    page = parsed(markup)
    for caption in page.find_all(["caption", "figcaption"]):
        link = page.new_tag("a", href=f"{folder}{record_name(notebook)}", string="run record")
        caption.extend([" (", link, ")"])
    for said in page.select(".safetune-prose"):
        source = page.new_tag("p", attrs={"class": "safetune-source"})
        for text, name in (("numbers", values_name(notebook)), ("run record", record_name(notebook))):
            source.extend(
                [" · " if source.contents else "", page.new_tag("a", href=folder + name, string=text)]
            )
        said.append(source)
    # A sentence names other pages by their sources, which is where a reader of the notebook goes.
    for link in page.select(".safetune-prose a[href]"):
        address = urlsplit(str(link["href"]))
        if not address.scheme and address.path.endswith((".ipynb", ".md")):
            name = address.path.rsplit(".", 1)[0] + ".html"
            link["href"] = address._replace(path=name).geturl()
    return str(page)


def closing(executed: Path) -> str:
    """The run record of a page in short, with a link to all of it, as Markdown."""
    record = provenance(executed)
    if record is None:
        return NO_RECORD
    machine, made, versions = record["machine"], record["made_from"], record["versions"]
    bases = sorted(
        {
            f"{adapter['facts']['base_model']} ({adapter['inputs']['base_model']})"
            for adapter in record["adapters"].values()
        }
    )
    rows = {
        "parameters given": json.dumps(made["parameters"], ensure_ascii=False),
        "seeds": json.dumps(record["settings"].get("seeds", record["settings"].get("seed", "none"))),
        "executed": (
            f"{record['started']}, in {record['seconds']:.0f} s, with at most"
            f" {record['peak_memory_bytes'] / 1e9:.1f} GB in all its processes"
        ),
        "code": f"commit {record['code']}, {len(made['code'])} files of the package by hash",
        "data": f"{len(made['files'])} files by hash",
        "base model": "; ".join(bases) or "none trained on",
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
        "versions of instruments": ", ".join(
            f"{name} {version}" for name, version in record.get("instruments", {}).items()
        )
        or "not noted",
        "machine": f"{machine['processor']}, {machine['system']}, accelerator: {machine['accelerator']}",
        "adapters": ", ".join(record["adapters"]) or "none",
    }
    return block(render("closing", rows=list(rows.items()), record=record_name(executed.stem)))


def link_faults(name: str, page: BeautifulSoup) -> list[str]:
    """Figures, tables and sentences of a page, without a link to their numbers or to their run record."""
    captions = page.select(".safetune-figure figcaption, .safetune-table caption")
    wanted = ('a[href^="data:text/csv"]', 'a[href$=".run.json"]')
    lacking = [caption for caption in captions if not all(map(caption.select_one, wanted))]
    unsaid = [
        said for said in page.select(".safetune-prose") if not said.select_one('a[href$=".values.csv"]')
    ]
    if unsaid:
        return [f"{name} has {len(unsaid)} sentence(s) without a link to their numbers"]
    return (
        [f"{name} has {len(lacking)} figure(s) or table(s) without their numbers or their run record"]
        if lacking
        else []
    )


def parts(executed: list[Path]) -> dict[str, str]:
    """What the page "Runs" includes, as Markdown."""
    recorded = {path.stem: record for path in executed if (record := provenance(path))}
    return {"runs_pages": _pages(recorded), "runs_adapters": _adapters(recorded)}


def _pages(recorded: dict[str, PageRecord]) -> str:
    columns = ("page", "executed", "seconds", "peak memory, all processes", "adapters", "record")
    rows = [
        (
            _page(name),
            record["started"],
            f"{record['seconds']:.0f}",
            f"{record['peak_memory_bytes'] / 1e9:.1f} GB",
            len(record["adapters"]),
            Link("JSON", f"../notebooks/{record_name(name)}"),
        )
        for name, record in recorded.items()
    ]
    return block(table(columns, rows, wide=True))


def _adapters(recorded: dict[str, PageRecord]) -> str:
    """Each adapter once, with what it took and the pages that use it."""
    adapters = {name: adapter for record in recorded.values() for name, adapter in record["adapters"].items()}
    if not adapters:
        return block(paragraph("No adapter was trained."))
    rows = []
    for name, adapter in sorted(
        adapters.items(),
        key=lambda item: (
            item[1]["facts"]["data"],
            item[1]["facts"]["n_safety"],
            item[1]["inputs"]["seed"],
            item[0],
        ),
    ):
        pages = [_page(page) for page, record in recorded.items() if name in record["adapters"]]
        rows.append(
            (
                Code(name),
                adapter["facts"]["n_safety"],
                adapter["inputs"]["seed"],
                f"{adapter['seconds']:.0f}",
                f"{adapter['peak_memory_bytes'] / 1e9:.1f} GB",
                [part for page in pages for part in (page, ", ")][:-1],
            )
        )
    seconds = sum(adapter["seconds"] for adapter in adapters.values())
    told = f"{len(adapters)} adapters; {seconds:.0f} seconds of training added up, some of it side by side."
    columns = ("adapter", "safety rows", "seed", "seconds", "peak memory", "pages")
    return block(table(columns, rows, wide=True), paragraph(told))


def _page(name: str) -> Link:
    return Link(name.split("_")[0], f"../notebooks/{name}.html")
