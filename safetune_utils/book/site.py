"""Build the book's site: executed notebooks laid over the prose, rendered by Jupyter Book, then checked.

The source of the site is put together in ``_build/source``; the repository itself is never written to.
"""

from __future__ import annotations

import html
import json
import shutil
import subprocess
from pathlib import Path

from safetune_utils import store
from safetune_utils.book import (
    begin,
    chapters,
    content_policy,
    findings,
    freshness,
    notebooks,
    outputs,
    parameters,
    provenance,
    stating,
)
from safetune_utils.book.checks import page_faults
from safetune_utils.book.launch import addresses
from safetune_utils.book.parameters import Given
from safetune_utils.errors import SafetuneError
from safetune_utils.machine import stopping
from safetune_utils.machine.files import check_folder
from safetune_utils.machine.processes import Piece, side_by_side
from safetune_utils.places import clone, data_folder, inside
from safetune_utils.study.run import fill
from safetune_utils.teaching import pages as teaching
from safetune_utils.terminal import say

# What draws pages is imported by the functions that draw: a wrong parameter is told without.

# Marks a folder that books are built in.
_OURS = ".safetune-book"

# About what a notebook's kernel takes that finds its adapters, responses and scores made.
_BYTES_OF_A_NOTEBOOK = 1.5e9


def build(
    *,
    given: Given,
    target: Path | None = None,
    taken_from: Path | None = None,
    audience: teaching.Audience = "public",
    pdfs: bool = False,
) -> tuple[Path, int]:
    """Run the notebooks that are not fresh and build the site if anything changed.

    Args:
        given: parameters laid over the defaults of every notebook that has them, for instance ``{"preset":
            "smoke"}``.
        target: the folder to build in, by default ``_build`` of the clone, or of this folder outside one; a
            student's or an instructor's book in a folder of that name within it.
        taken_from: a folder of executed copies, to be taken as they are: nothing is executed, and a page
            whose notebook, package code or data changed since then says so and is a fault of the site.
        audience: whom the book is for; see :mod:`safetune_utils.teaching.pages`.
        pdfs: whether each chapter is printed as a PDF too; where no browser is found that could, this is told
            and the site has none.

    Returns:
        The path of the first page, and how many notebooks were executed.

    Raises:
        SafetuneError: a parameter is wrong, a notebook failed, or the site has a fault.
    """
    root = data_folder().parent
    target = target or (clone() or Path.cwd()) / "_build" / ("" if audience == "public" else audience)
    check_target(target)
    from safetune_utils.book import chapter_page, pdf

    browser = pdf.browser() if pdfs else None
    if pdfs and not browser:
        say(f"no PDFs: none of {', '.join(pdf.BROWSERS)} is installed to print them", error=True)
    done, made = _taken(taken_from) if taken_from else executed(given=given)

    source, output = target / "source", target / "html"
    stamp_file, page = target / "stamp", output / "index.html"
    stale = {path.name: freshness.changes(path, done[path.name]) for path in _sources()}
    files = {str(p): store.file_hash(p) for p in [*done.values(), *_prose(root), *_drawing()]}
    stamp = store.key_of({"files": files, "stale": stale, "audience": audience, "browser": browser})
    if page.is_file() and stamp_file.is_file() and stamp_file.read_text() == stamp:
        return page, made
    stamp_file.unlink(missing_ok=True)
    assemble(source, done, stale, audience)
    render(source, target)
    for path in done.values():
        beside = output / "notebooks"
        (beside / provenance.record_name(path.stem)).write_text(provenance.record_text(path), "utf-8")
        (beside / provenance.values_name(path.stem)).write_text(outputs.values_csv(path), "utf-8")
        shutil.copy(parameters.find(path.stem), beside)
        copy = chapter_page.executed_download(path)
        (beside / f"{path.stem}.executed.ipynb").write_text(copy, "utf-8")
        # The page's source, to which the theme's own button leads: as Sphinx copies it, it has all folds.
        if (of_theme := output / "_sources" / "notebooks" / path.name).is_file():
            of_theme.write_text(copy, "utf-8")
    if browser:
        pdf.add(output, [path.stem for path in done.values()], browser=browser, site=addresses().site)
    faults = page_faults(output, [f"notebooks/{Path(name).stem}.html" for name in done])
    if faults:
        raise SafetuneError(f"the site has {len(faults)} fault(s), first: {faults[0]}")
    if audience == "student":
        teaching.check_leaks(output)
    stamp_file.write_text(stamp)
    return page, made


def check_target(target: Path) -> None:
    """Check that a site can be built in a folder, and that nothing of somebody else's is emptied for it.

    Raises:
        SafetuneError: it cannot be written to, or what it holds under the names of a site's parts is none.
    """
    check_folder(target, mend="give another --output")
    mark = target / _OURS
    # A book that was built before this mark was made is known by its pages.
    if not mark.exists() and not (target / "html" / "genindex.html").exists():
        for name in ("source", "html", "_build"):
            if (target / name).exists():
                raise SafetuneError(
                    f"{target / name} is there and is no part of a built book, and would be emptied: give "
                    "another --output, such as a new folder"
                )
    mark.touch()


def executed(*, given: Given) -> tuple[dict[str, Path], int]:
    """The executed copies of all notebooks by file name, and how many were not fresh and were run for it.

    Raises:
        SafetuneError: a parameter is wrong (before anything runs), or a notebook failed.
    """
    sources = _sources()
    known = {name for path in sources for name in parameters.known(path)}
    for path in sources:
        # A name that no notebook has is a mistake, and the first notebook tells it.
        parameters.validate(
            path,
            parameters.own_part(path, given)
            | {name: value for name, value in given.items() if name not in known},
        )
    given_to = {path: parameters.own_part(path, given) for path in sources}
    begin.check_parameters(list(given_to.items()))
    stale = [path for path in sources if not freshness.is_fresh(path, given=given_to[path])]
    if stale:
        # All that takes a model, of all chapters, by one pool; the notebooks then find it made.
        stated = [(path, given_to[path]) for path in stale]
        say(f"stating {len(stale)} chapters", error=True)
        fill(stating.studies_of(stated), beside=stating.trials_of(stated))
        side_by_side(
            [Piece(_execute, chapter) for chapter in stated],
            bytes_each=_BYTES_OF_A_NOTEBOOK,
            loads_models=False,
        )
    return {path.name: notebooks.executed(path, given=given_to[path]) for path in sources}, len(stale)


def _execute(path: Path, given: Given) -> None:
    say(f"executing {path.stem}", error=True)
    notebooks.executed(path, given=given)


def _sources() -> list[Path]:
    return sorted(parameters.folder().glob("*.ipynb"))


def _taken(folder: Path) -> tuple[dict[str, Path], int]:
    found = {path.name: folder / path.name for path in _sources()}
    missing = [name for name, path in found.items() if not path.is_file()]
    if missing:
        raise SafetuneError(
            f"{folder} holds no executed copy of {missing[0]}: run it with --output {folder / missing[0]}"
        )
    return found, 0


def _prose(root: Path) -> list[Path]:
    files = sorted(p for p in (root / "book").rglob("*") if p.is_file())
    described = sorted(
        p for p in (root / "data").rglob("*") if p.suffix in (".md", ".yml", ".json", ".jsonl")
    )
    tops = [root / name for name in ("_config.yml", "_toc.yml", "CHANGELOG.md", "CITATION.cff")]
    return [*tops, *described, *files]


def _drawing() -> list[Path]:
    """The code that pages are made with, besides the notebooks' own."""
    package = Path(__file__).parents[1]
    files = [
        path
        for wing in ("book", "data", "scoring", "teaching")
        for path in sorted((package / wing).rglob("*"))
    ]
    return [path for path in files if path.suffix in (".py", ".html")]


def assemble(
    source: Path, done: dict[str, Path], stale: dict[str, list[str]], audience: teaching.Audience = "public"
) -> None:
    """Put the source of the site together.

    Args:
        source: the folder that becomes it.
        done: the executed copies by file name.
        stale: what changed since each of them was executed, likewise.
        audience: whom the book is for.
    """
    import nbformat

    from safetune_utils.book import chapter_page, compare, verdicts
    from safetune_utils.book.generated import (
        about,
        architectures,
        authors_answers,
        data_cards,
        differences,
        instruments,
        power,
        speed,
        survives,
    )
    from safetune_utils.book.generated import verdicts as verdict_pages
    from safetune_utils.book.generated.parameters import parameter_tables, preset_table
    from safetune_utils.book.value_role import VALUES
    from safetune_utils.book.words import said

    root = data_folder().parent
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(root / "book", source / "book")
    shutil.copy(root / "_toc.yml", source)
    (source / "data").mkdir()
    shutil.copy(root / "data" / "README.md", source / "data")
    (source / "notebooks").mkdir()
    shutil.copy(root / "_config.yml", source)
    values = _measured(root)
    generated = source / "book" / "_generated"
    generated.mkdir()
    ours = {path.stem: findings.outcome(path) for path in done.values()}
    controls = verdicts.committed_controls()
    judged = verdicts.judged(ours, controls=controls)
    of_name = {chapter.name: chapter for chapter in chapters.chapters()}
    for name, path in done.items():
        shown = chapter_page.page(path, chapter=of_name[path.stem], changes=stale[name], judged=judged)
        nbformat.write(shown, source / "notebooks" / name)
        number = name.split("_")[0]
        values |= {f"nb{number}_{of}": said(value) for of, value in outputs.values(path).items()}
        for figure, found in outputs.drawn(path).items():
            markup = provenance.linked(found.markup, notebook=path.stem, folder="../notebooks/")
            inside(generated, f"{figure}.html").write_text(markup, "utf-8")
    first = done[min(done)]
    head = chapter_page.welcome_head(first, chapter=of_name[first.stem])
    (generated / "welcome_head.html").write_text(head, "utf-8")
    (source / VALUES).write_text(json.dumps(values), "utf-8")
    (generated / "parameters.md").write_text(parameter_tables(), "utf-8")
    (generated / "presets.md").write_text(preset_table(), "utf-8")
    published = findings.published()
    compared = verdict_pages.parts(
        ours, found=judged, published=published, controls=controls, pages=set(ours)
    )
    compared |= power.parts(ours, published=published)
    for name, page in (
        data_cards.parts()
        | speed.parts()
        | survives.parts()
        | about.parts(root)
        | instruments.parts()
        | architectures.parts()
        | authors_answers.parts()
        | differences.parts()
        | provenance.parts(list(done.values()))
        | compared
        | {"compared": compare.part(ours)}
    ).items():
        (generated / f"{name}.md").write_text(page, "utf-8")
    teaching.lay(
        source,
        titles={name: chapter.title for name, chapter in of_name.items()},
        tables={path.stem: outputs.numbers(path) for path in done.values()},
        audience=audience,
    )


def _measured(root: Path) -> dict[str, str]:
    """The measurements of ``data/results`` as names for the prose: ``refusal_rules_kappa`` and the like."""
    return {
        f"{path.stem}_{name}": str(value)
        for path in sorted((root / "data" / "results").glob("*.json"))
        for name, value in json.loads(path.read_text("utf-8")).items()
        if isinstance(value, (int, float, str))
    }


def render(source: Path, target: Path) -> None:
    """Run Jupyter Book strictly; its output is shown only where it fails."""
    from safetune_utils.book import theme

    shutil.rmtree(target / "html", ignore_errors=True)
    program = (
        "import sys; from safetune_utils.machine.quick_start import skip_grammar; skip_grammar();"
        " from jupyter_book.cli.main import main; sys.exit(main())"
    )
    strictly = ("-n", "-W", "--keep-going", "--all")
    command = stopping.python(program, "build", str(source), "--path-output", str(target), *strictly)
    shutil.rmtree(target / "_build", ignore_errors=True)
    answer = subprocess.run(command, capture_output=True, text=True)
    log = target / "build.log"
    log.write_text(answer.stdout + answer.stderr, "utf-8")
    if answer.returncode != 0:
        warnings = [
            line
            for line in (answer.stdout + answer.stderr).splitlines()
            if "WARNING" in line or "ERROR" in line
        ]
        first = html.unescape(warnings[0]) if warnings else "see the log"
        raise SafetuneError(
            f"Jupyter Book failed with {len(warnings)} warning(s), first: {first} (log: {log})"
        )
    theme.mend(target / "_build" / "html", site=addresses().site)
    content_policy.add(target / "_build" / "html")
    (target / "_build" / "html").rename(target / "html")
    shutil.rmtree(target / "_build", ignore_errors=True)
