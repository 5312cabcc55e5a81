"""What teaching adds to the site's source: for each chapter a head and a page of practice, the map, the
teacher's part; and what a student's book folds and leaves out.

Three books are built of one source. The *public* one shows results first and solutions folded. The
*student's* has no solution and no teacher's page in it anywhere, and each result stands behind a place
to write down what one expects. The *instructor's* shows solutions, what goes wrong and with which hint,
and notes.
"""

from __future__ import annotations

import inspect
import re
import shutil
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Literal

import yaml
from markdown_it import MarkdownIt

from safetune_utils.errors import SafetuneError
from safetune_utils.teaching import folding, lab, quizzes
from safetune_utils.teaching.chapters import Taught, all_needed, order, taught
from safetune_utils.teaching.exercises import Exercise, exercises, of_chapter
from safetune_utils.teaching.sealed import Solved, mark, solved

Audience = Literal["public", "student", "instructor"]

# What stands in `book/` and is no page of the site.
NO_PAGES = ("solutions", "exercises", "quizzes", "teach")
# The teacher's part, in its order.
TEACHER = (
    "course", "lessons", "predict_sheet", "lab_plan", "class_study", "slides", "discussion", "when_it_fails",
)  # fmt: skip
# Ways through the book, as numbers of chapters in their order.
WAYS = {
    "one evening": (1, 2),
    "a class of four weeks": (1, 2, 8, 7),
    "somebody who wants to build a data set": (9, 1, 2, 10),
}
_DIFFICULTY = ("", "easy", "medium", "hard")
_INLINE = MarkdownIt("commonmark", {"html": False})


def lay(
    source: Path, *, titles: Mapping[str, str], tables: Mapping[str, Mapping[str, str]], audience: Audience
) -> None:
    """Add what teaching adds to a site's source.

    Args:
        source: the folder, with ``book`` and all that is generated for it, ``notebooks`` and ``_toc.yml``.
        titles: of the chapters, by the names of their notebooks.
        tables: for each chapter, CSV by the names of the figures that it drew.
        audience: whom the book is for.
    """
    import nbformat

    found = taught()
    teacher = source / "book" / "teach"
    taught_here = any(name.split("_")[0] in found for name in titles)  # not in a book of other chapters
    names = TEACHER if audience != "student" and taught_here else ()
    texts = {name: (teacher / f"{name}.md").read_text("utf-8") for name in names}
    for name in NO_PAGES:
        shutil.rmtree(source / "book" / name, ignore_errors=True)
    if not taught_here:
        return
    practice = source / "practice"
    practice.mkdir()
    with_solutions = solved() if audience != "student" else {}
    for name, title in titles.items():
        about = found.get(name.split("_")[0])
        if about is None:
            continue
        path = source / "notebooks" / f"{name}.ipynb"
        notebook = nbformat.read(path, as_version=4)
        notebook.cells.insert(
            1, nbformat.v4.new_markdown_cell(head(name, about, titles), id="safetune-taught")
        )
        if audience == "student":
            folding.chapter(notebook, about.predict)
        else:
            for cell in notebook.cells:
                cell.source = folding.without_marks(cell.source)
        nbformat.write(notebook, path)
        mine = of_chapter(name)
        nbformat.write(lab.sheet(title, mine), practice / f"{name}-exercises.ipynb")
        text = practice_page(
            name, title, mine, tables=tables[name], solutions=with_solutions.get(name, []), audience=audience
        )
        (practice / f"{name}.md").write_text(text, "utf-8")
    of_results = folding.page if audience == "student" else folding.without_marks
    for path in (source / "book").rglob("*.md"):
        path.write_text(of_results(path.read_text("utf-8")), "utf-8")
    (practice / "map.md").write_text(map_page(titles, found), "utf-8")
    for name, text in texts.items():
        (practice / f"{name}.md").write_text(text, "utf-8")
    _add_to_contents(source / "_toc.yml", ["map", *titles], "Practice")
    if texts:
        _add_to_contents(source / "_toc.yml", list(texts), "Teach")


def _add_to_contents(path: Path, names: list[str], caption: str) -> None:
    contents = yaml.safe_load(path.read_text("utf-8"))
    existing = [name for name in names if (path.parent / "practice" / f"{name}.md").is_file()]
    part = {"caption": caption, "chapters": [{"file": f"practice/{name}"} for name in existing]}
    # Behind the experiments and the results, before the reference pages.
    contents["parts"].insert(len(contents["parts"]) - 1, part)
    path.write_text(yaml.safe_dump(contents, sort_keys=False), "utf-8")


def head(name: str, about: Taught, titles: Mapping[str, str]) -> str:
    """What stands below a chapter's title: objectives, what it needs, minutes, and where to practise."""
    by_number = {other.split("_")[0]: other for other in titles}
    needs = ", ".join(f"[chapter {int(n)}]({by_number[n]}.ipynb)" for n in about.needs if n in by_number)
    helps = ", ".join(f"[{page}](../book/{page}.md)" for page in about.helps)
    mine = of_chapter(name)
    minutes = sum(one.minutes for one in mine)
    lines = [
        "```{admonition} After this chapter you can",
        ":class: safetune-head",
        *(f"- {objective}" for objective in about.objectives),
        "",
        f"**Needs** {needs or 'no other chapter'}. {about.before}"
        + (f" **Helps** {helps}." if helps else ""),
        f"**Minutes** {about.minutes} to read with its figures, {minutes} for its"
        f" [exercises](../practice/{name}.md); a quiz.",
        "```",
    ]
    return "\n".join(lines)


def practice_page(
    name: str,
    title: str,
    mine: list[Exercise],
    *,
    tables: Mapping[str, str],
    solutions: list[Solved],
    audience: Audience,
) -> str:
    """A chapter's page of practice: its exercises and its quiz, as Markdown."""
    by_name = {one.solution.__name__: one for one in solutions}
    number = int(name.split("_")[0])
    parts = [
        f"# Practice {number}: {title}",
        f"For [chapter {number}](../notebooks/{name}.ipynb). [Which chapter needs which](map.md).",
        "## Exercises",
        "Write down what you expect, then write the function, then let it be checked: the checker answers"
        " with a hint. It needs no network. All of them as a notebook:"
        f" {{download}}`{name}-exercises.ipynb <{name}-exercises.ipynb>`.",
    ]
    for place, one in enumerate(mine, start=1):
        parts += [exercise_part(one, f"{number}.{place}")]
        if one.name in by_name:
            parts += [solution_part(by_name[one.name], opened=audience == "instructor")]
    if audience == "instructor" and solutions:
        parts += [f"The mark of this sheet is {mark(name)}: it stands in no book for students."]
    elif audience == "public" and not solutions:
        parts += [
            "The solutions stand in `book/solutions` of the repository; this book was built without it."
        ]
    questions, of_run = questions_of(name, tables)
    parts += [
        "## Quiz",
        "Open the option that you hold to be right. Each says whether it is, and why.",
        of_run,
    ]
    parts += quiz_parts(name, questions)
    return "\n\n".join(parts) + "\n"


def exercise_part(one: Exercise, number: str) -> str:
    """An exercise as Markdown."""
    files = ", ".join(f"`{name}` from `data/{file.split('#')[0]}`" for name, file in one.given.items())
    return f"""### {number} {one.title}

*{_DIFFICULTY[one.difficulty]}, about {one.minutes} minutes.* Given: {files}.

**Predict.** {one.predict}

{one.task}

```python
{lab.stub(one)}
```"""


def solution_part(one: Solved, *, opened: bool) -> str:
    """A solution as Markdown: folded, or opened with the wrong ways and what to say of it."""
    helpers = "".join(f"\n\n\n{helper.rstrip()}" for helper in one.helpers())
    signature = exercises()[one.solution.__name__].signature
    block = f"```python\n{signature}\n{one.body()}{helpers}\n```"
    if not opened:
        return f":::{{dropdown}} A solution\n{block}\n:::"
    wrong = "\n".join(f"| {way.mistake} | {way.hint} |" for way in one.wrong_ways)
    table = f"| what people do | the hint |\n|---|---|\n{wrong}"
    note = f"\n\n*In class.* {one.note}" if one.note else ""
    return f":::{{dropdown}} A solution, and what goes wrong\n:open:\n{block}\n\n{table}{note}\n:::"


def questions_of(name: str, tables: Mapping[str, str]) -> tuple[list[quizzes.Question], str]:
    """A chapter's questions, and of which run their numbers are: of the tables at hand where these give as
    many questions as the published run does, else of that.
    """
    published = quizzes.quiz(name, quizzes.published(name))
    own = quizzes.quiz(name, tables) if tables else []
    if len(own) == len(published):
        return own, "*The numbers are of this book's run.*"
    return published, f"*The numbers are of the published run `{quizzes.PUBLISHED}`.*"


def quiz_parts(name: str, questions: list[quizzes.Question]) -> Iterator[str]:
    """The questions of a chapter as HTML: each option unfolds, and only one of a question at a time."""
    for place, question in enumerate(questions, start=1):
        options = "\n".join(
            f'<details name="{name}-{place}" class="{"right" if option.right else "wrong"}">'
            f"<summary>{number}) {inline(option.says)}</summary><p>"
            + (
                "<strong>Yes.</strong> "
                if option.right
                else f"<strong>No: {escape(option.mistake.lower())}.</strong> "
            )
            + f"{inline(option.because)}</p></details>"
            for number, option in enumerate(question.options, start=1)
        )
        yield f'<div class="safetune-quiz">\n<p>{place}. {inline(question.ask)}</p>\n{options}\n</div>'


def inline(text: str) -> str:
    """A line of Markdown as HTML; what it holds of HTML is text."""
    return _INLINE.renderInline(text)


def map_page(titles: Mapping[str, str], found: dict[str, Taught]) -> str:
    """Which chapter needs which, as a drawing and as a table."""
    by_number = {name.split("_")[0]: name for name in titles}
    here = {number: about for number, about in found.items() if number in by_number}
    rows = []
    for number, about in here.items():
        name = by_number[number]
        mine = of_chapter(name)
        needs = ", ".join(str(int(n)) for n in about.needs) or "–"
        rows.append(
            f"| {int(number)} | [{titles[name]}](../notebooks/{name}.ipynb) | {needs} |"
            f" {about.before} | {about.minutes} |"
            f" [{len(mine)}, {sum(one.minutes for one in mine)} min]({name}.md) |"
        )
    return (
        "\n\n".join(
            [
                "# Which chapter needs which",
                "Begin with chapter 1. An arrow leads from a chapter to those that build on it;"
                " chapters without an arrow between them can be read in any order.",
                drawn_map(here),
                "| number | chapter | needs | what one should know | minutes to read | exercises"
                " |\n|---|---|---|---|---|---|\n" + "\n".join(rows),
                "Three ways through: "
                + "; ".join(f"**{who}**, {', '.join(map(str, numbers))}" for who, numbers in WAYS.items())
                + ".",
            ]
        )
        + "\n"
    )


def drawn_map(chapters: dict[str, Taught]) -> str:
    """The map as an SVG, whose text alternative says the same."""
    steps = order(chapters)
    place = {n: (60 + 180 * x, 40 + 46 * y) for x, step in enumerate(steps) for y, n in enumerate(step)}
    height = 40 + 46 * max(map(len, steps))
    arrows = "".join(
        f'<path d="M{place[need][0] + 24},{place[need][1]} L{place[n][0] - 30},{place[n][1]}" fill="none"'
        ' stroke="currentColor" marker-end="url(#tip)"/>'
        for n, about in chapters.items()
        for need in about.needs
        # An arrow that others imply would run through a circle.
        if need in place and not any(need in all_needed(other, chapters) for other in about.needs)
    )
    circles = "".join(
        f'<circle cx="{x}" cy="{y}" r="20" fill="none" stroke="currentColor" stroke-width="2"/>'
        f'<text x="{x}" y="{y + 5}" text-anchor="middle" fill="currentColor">{int(n)}</text>'
        for n, (x, y) in place.items()
    )
    said = "; ".join(
        f"chapter {int(n)} needs {', '.join(str(int(one)) for one in about.needs)}"
        if about.needs
        else f"chapter {int(n)} needs none"
        for n, about in chapters.items()
    )
    return (
        f'<svg class="safetune-map" viewBox="0 0 {60 + 180 * len(steps)} {height}" role="img"'
        f' aria-label="{escape(said)}"><defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4"'
        ' markerWidth="7" markerHeight="7" orient="auto">'
        f'<path d="M0,0 L8,4 L0,8 z" fill="currentColor"/></marker></defs>{arrows}{circles}</svg>'
    )


def leaks(output: Path) -> list[str]:
    """What of the solutions stands in a built book: in pages, their sources, the search index or downloads.

    Returns:
        One line for each find; empty for a book that may be given to students.
    """
    words = canaries()
    found = []
    for path in sorted(p for p in output.rglob("*") if p.is_file()):
        text = path.read_bytes().decode("utf-8", "replace")
        plain = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", text) if path.suffix == ".html" else text)
        plain = (
            plain.replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&quot;", '"')
            .replace("&#39;", "'")
            .replace('\\"', '"')
        )
        found += [f"{path.relative_to(output)} holds {word!r}" for word in words if word in plain]
    return found


def canaries() -> list[str]:
    """Words and lines that stand in solutions only: the mark of each sheet, lines of their code, notes."""
    found = []
    for name, solutions in solved().items():
        found.append(mark(name))
        for one in solutions:
            lines = inspect.getsource(one.solution).splitlines()
            last = [line.strip() for line in lines if line.strip().startswith("return ")]
            found += [line for line in last if len(line) > 25]
            found += [one.note] if one.note else []
    return found


def check_leaks(output: Path) -> None:
    """Check that a built student's book holds nothing of the solutions.

    Raises:
        SafetuneError: it does; or there are no solutions to look for, so that nothing can be said.
    """
    if not solved():
        return
    found = leaks(output)
    if found:
        raise SafetuneError(f"the student's book holds {len(found)} piece(s) of solutions, first: {found[0]}")
