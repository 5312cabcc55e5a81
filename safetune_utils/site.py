"""Build the book's site: executed notebooks laid over the prose, rendered by Jupyter Book, then checked.

The source of the site is put together in ``_build/source``; the repository itself is never written to.
"""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import yaml

from safetune_utils import datacards, instrument_cards, notebooks, outcomes, provenance, records, speeds, verdicts
from safetune_utils.data import data_folder
from safetune_utils.errors import SafetuneError
from safetune_utils.settings import PRESETS, Decoding, Mixing, Recipe, Settings, resolve


def build(*, given: dict[str, Any], target: Path | None = None, taken_from: Path | None = None) -> tuple[Path, int]:
    """Run the notebooks that are not fresh and build the site if anything changed.

    Args:
        given: parameters laid over the defaults of every notebook that has them, for instance ``{"preset": "smoke"}``.
        target: the folder to build in, by default ``_build`` of the repository.
        taken_from: a folder of executed copies, to be taken as they are: nothing is executed, and a page whose notebook,
            package code or data changed since then says so and is a fault of the site.

    Returns:
        The path of the first page, and how many notebooks were executed.

    Raises:
        SafetuneError: a parameter is wrong, a notebook failed, or the site has a fault.
    """
    root = data_folder().parent
    done, made = _taken(taken_from) if taken_from else executed(given=given)

    target = target or root / "_build"
    source, output = target / "source", target / "html"
    stamp_file, page = target / "stamp", output / "index.html"
    stale = {path.name: notebooks.changes(path, done[path.name]) for path in _sources()}
    files = {str(p): records.file_hash(p) for p in [*done.values(), *_prose(root), *_drawing()]}
    stamp = records.key_of({"files": files, "stale": stale})
    if page.is_file() and stamp_file.is_file() and stamp_file.read_text() == stamp:
        return page, made
    stamp_file.unlink(missing_ok=True)
    _assemble(root, source, done, stale)
    _render(source, target)
    for path in done.values():
        (output / "notebooks" / provenance.record_name(path.stem)).write_text(provenance.record_text(path), "utf-8")
    faults = page_faults(output, [f"notebooks/{Path(name).stem}.html" for name in done])
    if faults:
        raise SafetuneError(f"the site has {len(faults)} fault(s), first: {faults[0]}")
    stamp_file.write_text(stamp)
    return page, made


def executed(*, given: dict[str, Any]) -> tuple[dict[str, Path], int]:
    """The executed copies of all notebooks by file name, and how many were not fresh and were run for it.

    Raises:
        SafetuneError: a parameter is wrong (before anything runs), or a notebook failed.
    """
    sources = _sources()
    known = {name for path in sources for name in notebooks.defaults(path)}
    for path in sources:
        # A name that no notebook has is a mistake, and the first notebook tells it.
        notebooks.validate(path, notebooks.own_part(path, given) | {name: value for name, value in given.items() if name not in known})
    given_to = {path: notebooks.own_part(path, given) for path in sources}
    stale = [path for path in sources if not notebooks.is_fresh(path, given=given_to[path])]
    for path in stale:
        print(f"executing {path.stem}", file=sys.stderr)
    return {path.name: notebooks.executed(path, given=given_to[path]) for path in sources}, len(stale)


def _sources() -> list[Path]:
    return sorted(notebooks.folder().glob("*.ipynb"))


def _taken(folder: Path) -> tuple[dict[str, Path], int]:
    found = {path.name: folder / path.name for path in _sources()}
    missing = [name for name, path in found.items() if not path.is_file()]
    if missing:
        raise SafetuneError(f"{folder} holds no executed copy of {missing[0]}: run it with --output {folder / missing[0]}")
    return found, 0


def page_faults(output: Path, experiment_pages: list[str]) -> list[str]:
    """What a page must not have: errors, unresolved names, requests to other hosts, no figure, figures without alt text, numbers or record; staleness."""
    faults = []
    for path in sorted(output.rglob("*.html")):
        name, text = str(path.relative_to(output)), path.read_text("utf-8")
        if name.startswith(("_static", "genindex", "search")):
            continue
        if "cell_output docutils container" in text and re.search(r'class="output (traceback|stderr)', text):
            faults.append(f"{name} shows an error or a warning of its code")
        if 'class="admonition warning safetune-stale"' in text:
            faults.append(f"{name} is stale: its notebook, the package's code or data changed since it was executed")
        if re.search(r"\{glue:|\{\{ ", _without_code(text)):
            faults.append(f"{name} has a name that was not filled in")
        foreign = re.findall(r'<(?:script|link|img|iframe)\b[^>]*?(?:src|href)="(https?:)?//[^"]*"', text)
        if foreign:
            faults.append(f"{name} asks another host for a file")
        for image in re.findall(r"<img\b[^>]*>", text):
            alt = re.search(r'alt="([^"]*)"', image)
            if not alt or not alt.group(1).strip() or re.fullmatch(r"\S+\.(png|svg|jpe?g)", alt.group(1)):
                faults.append(f"{name} has an image without alt text")
    for name in [*experiment_pages, "book/welcome.html"]:
        if 'class="safetune-figure"' not in (output / name).read_text("utf-8"):
            faults.append(f"{name} has no figure")
    for name in [name for name in experiment_pages if name.startswith("notebooks/")]:
        faults += provenance.link_faults(name, (output / name).read_text("utf-8"))
        if not (output / name).with_name(provenance.record_name(Path(name).stem)).is_file():
            faults.append(f"{name} has no run record beside it")
    return faults


def _without_code(text: str) -> str:
    return re.sub(r"<pre>.*?</pre>|<code\b.*?</code>", "", text, flags=re.DOTALL)


def _prose(root: Path) -> list[Path]:
    files = sorted(p for p in (root / "book").rglob("*") if p.is_file())
    described = sorted(p for p in (root / "data").rglob("*") if p.suffix in (".md", ".yml", ".json", ".jsonl"))
    return [root / "_config.yml", root / "_toc.yml", *described, *files]


def _drawing() -> list[Path]:
    """The code that pages are made with, besides the notebooks' own."""
    package = Path(__file__).parent
    rooms = ("datacards", "instrument_cards", "instruments", "figures", "speeds", "outcomes", "verdicts", "provenance")
    return [Path(__file__), *(package / f"{room}.py" for room in rooms), *sorted((package / "data").glob("*.py"))]


def _assemble(root: Path, source: Path, done: dict[str, Path], stale: dict[str, list[str]]) -> None:
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(root / "book", source / "book")
    shutil.copy(root / "_toc.yml", source)
    (source / "data").mkdir()
    shutil.copy(root / "data" / "README.md", source / "data")
    (source / "notebooks").mkdir()
    words = _measured(root)
    generated = source / "book" / "_generated"
    generated.mkdir()
    for name, path in done.items():
        nbformat.write(provenance.page(path, changes=stale[name]), source / "notebooks" / name)
        number = name.split("_")[0]
        for output in _outputs(path):
            metadata = output.get("metadata", {})
            if "scrapbook" in metadata:
                value = output["data"]["application/papermill.record/text/plain"]
                words[f"nb{number}_{metadata['scrapbook']['name']}"] = value
            if "figure" in metadata.get("safetune", {}):
                markup = provenance.linked(output["data"]["text/html"], notebook=path.stem, folder="../notebooks/")
                (generated / f"{metadata['safetune']['figure']}.html").write_text(markup, "utf-8")
    (generated / "parameters.md").write_text(_parameter_tables(), "utf-8")
    (generated / "presets.md").write_text(_preset_table(), "utf-8")
    found = {path.stem: outcomes.outcome(path) for path in done.values()}
    compared = verdicts.parts(found, published=outcomes.published(), pages=set(found))
    for name, page in (datacards.parts() | speeds.parts() | instrument_cards.parts() | provenance.parts(list(done.values())) | compared).items():
        (generated / f"{name}.md").write_text(page, "utf-8")
    config = yaml.safe_load((root / "_config.yml").read_text("utf-8"))
    config.setdefault("parse", {})["myst_substitutions"] = words
    (source / "_config.yml").write_text(yaml.safe_dump(config, allow_unicode=True), "utf-8")


def _measured(root: Path) -> dict[str, str]:
    """The measurements of ``data/results`` as names for the prose: ``refusal_rules_kappa`` and the like."""
    return {
        f"{path.stem}_{name}": str(value)
        for path in sorted((root / "data" / "results").glob("*.json"))
        for name, value in json.loads(path.read_text("utf-8")).items()
        if isinstance(value, (int, float, str))
    }


def _outputs(path: Path) -> list[dict[str, Any]]:
    cells = nbformat.read(path, as_version=4).cells
    return [output for cell in cells if cell.cell_type == "code" for output in cell.outputs]


def _parameter_tables() -> str:
    """The schema as tables: name, the pocket value, what it is."""
    blocks = []
    tables = {"Parameters of a study": Settings, "Entries of `recipe`": Recipe, "Entries of `mixing`": Mixing, "Entries of `decoding`": Decoding}
    for title, schema in tables.items():
        rows = [f"| `{name}` | {_default(schema, name)} | {field.description} |" for name, field in schema.model_fields.items()]
        blocks.append("\n".join([f"**{title}**", "", "| name | pocket | what it is |", "|---|---|---|", *rows]))
    return "\n\n".join(blocks) + "\n"


def _default(schema: type, name: str) -> str:
    value = getattr(schema(), name)
    return "see below" if isinstance(value, (Recipe, Mixing, Decoding)) else f"`{json.dumps(value)}`"


def _preset_table() -> str:
    """What each preset stands for, as one table."""
    resolved = {name: resolve(preset=name) for name in PRESETS}
    lines = [f"| | {' | '.join(resolved)} |", f"|---|{'---|' * len(resolved)}"]
    for name in Settings.model_fields:
        if name not in ("preset", "recipe", "mixing", "decoding"):
            lines.append(f"| `{name}` | " + " | ".join(json.dumps(getattr(s, name)) for s in resolved.values()) + " |")
    for group in ("recipe", "mixing", "decoding"):
        for name in type(getattr(resolved["pocket"], group)).model_fields:
            values = [json.dumps(getattr(getattr(s, group), name)) for s in resolved.values()]
            lines.append(f"| `{group}.{name}` | " + " | ".join(values) + " |")
    return "\n".join(lines) + "\n"


def _render(source: Path, target: Path) -> None:
    """Run Jupyter Book strictly; its output is shown only where it fails."""
    shutil.rmtree(target / "html", ignore_errors=True)
    program = "import sys; from jupyter_book.cli.main import main; sys.exit(main())"
    command = [sys.executable, "-c", program, "build", str(source), "--path-output", str(target), "-n", "-W", "--keep-going", "--all"]
    shutil.rmtree(target / "_build", ignore_errors=True)
    answer = subprocess.run(command, capture_output=True, text=True)
    log = target / "build.log"
    log.write_text(answer.stdout + answer.stderr, "utf-8")
    if answer.returncode != 0:
        warnings = [line for line in (answer.stdout + answer.stderr).splitlines() if "WARNING" in line or "ERROR" in line]
        first = html.unescape(warnings[0]) if warnings else "see the log"
        raise SafetuneError(f"Jupyter Book failed with {len(warnings)} warning(s), first: {first} (log: {log})")
    (target / "_build" / "html").rename(target / "html")
    shutil.rmtree(target / "_build", ignore_errors=True)
