"""Three books of one source: what each holds and what it does not, and that a leak is found wherever it
is.
"""

from __future__ import annotations

import html
import json
import re
import shutil
from pathlib import Path

import nbformat
import pytest
import yaml

from safetune_utils.errors import SafetuneError
from safetune_utils.places import repository_folder
from safetune_utils.teaching import folding, pages, quizzes
from safetune_utils.teaching.chapters import taught
from safetune_utils.teaching.exercises import exercises
from safetune_utils.teaching.sealed import mark, solved

TITLES = {
    path.stem: f"Title of {path.stem}" for path in sorted((repository_folder() / "notebooks").glob("*.ipynb"))
}


def laid(folder: Path, audience: pages.Audience) -> Path:
    """The source of a site whose chapters have one figure each, with what teaching adds."""
    source = folder / audience
    shutil.copytree(repository_folder() / "book", source / "book")
    shutil.copy(repository_folder() / "_toc.yml", source)
    (source / "notebooks").mkdir()
    for name in TITLES:
        shown = nbformat.v4.new_output(
            "display_data", data={"text/html": "<p>RESULT</p>", "text/plain": "RESULT"}
        )
        cells = [
            nbformat.v4.new_markdown_cell(
                "# T\n\nText.\n\n**The paper's answer.** PAPER.\n\n**You will see** it."
            ),
            nbformat.v4.new_code_cell("study"),
            nbformat.v4.new_code_cell("figure", outputs=[shown], metadata={"tags": ["hide-input"]}),
            nbformat.v4.new_code_cell("say", outputs=[shown], metadata={"tags": ["remove-input"]}),
            nbformat.v4.new_code_cell("run", outputs=[shown], metadata={"tags": ["remove-output"]}),
        ]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), source / "notebooks" / f"{name}.ipynb")
    tables = {name: quizzes.published(name) for name in TITLES}
    pages.lay(source, titles=TITLES, tables=tables, audience=audience)
    return source


def test_a_student_s_source_holds_nothing_of_the_solutions_and_the_others_do(tmp_path: Path) -> None:
    assert pages.leaks(laid(tmp_path, "student")) == []
    open_ones = "".join(pages.leaks(laid(tmp_path, "instructor")))
    folded = "".join(pages.leaks(laid(tmp_path, "public")))
    for name in TITLES:
        assert mark(name) in open_ones
        assert mark(name) not in folded
        assert f"practice/{name}.md" in open_ones
        assert f"practice/{name}.md" in folded


# The last line of a solution.
ANSWER = 'return (model.loc[model["prompt_set"] == "malicious", "refusal"] == "full_refusal").mean()'


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("page.html", f"<p>{html.escape(ANSWER).replace('mean', '<b>mean</b>')}</p>"),
        ("_sources/notebooks/01.ipynb", json.dumps(f"x\n{ANSWER}")),
        ("searchindex.js", f'Search.setIndex({{"terms":{{"{mark("01_safety_amount")}":3}}}})'),
        ("_downloads/abc/lab.ipynb", json.dumps({"source": ["return expected\n", mark("05_topics")]})),
        ("_static/notes.txt", next(one.note for one in solved()["01_safety_amount"] if one.note)),
    ],
)
def test_a_leak_is_found_wherever_it_is(tmp_path: Path, file: str, text: str) -> None:
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    with pytest.raises(SafetuneError, match=re.escape(f"first: {file} holds")):
        pages.check_leaks(tmp_path)


def test_a_student_predicts_before_any_result_is_seen(tmp_path: Path) -> None:
    notebook = nbformat.read(laid(tmp_path, "student") / "notebooks" / "01_safety_amount.ipynb", as_version=4)
    text = [cell.source for cell in notebook.cells]
    asked = next(place for place, source in enumerate(text) if "Before you look" in source)
    shown = [place for place, cell in enumerate(notebook.cells) if cell.get("outputs")]
    assert asked < min(shown)
    tags = [notebook.cells[place].metadata["tags"] for place in shown]
    # Folded, and never both folded and without a head to unfold it by; what is not shown stays so.
    assert tags == [["hide-output"], ["remove-input", "hide-output"], ["remove-output"]]
    assert "::::{dropdown} What the paper found\n**The paper's answer.** PAPER.\n::::" in text[0]
    assert "**You will see** it." in text[0]


@pytest.mark.parametrize("name", TITLES)
def test_what_the_paper_found_is_folded_in_every_chapter_that_tells_it(name: str) -> None:
    notebook = nbformat.read(repository_folder() / "notebooks" / f"{name}.ipynb", as_version=4)
    told = notebook.cells[0].source.count("**The paper's")
    notebook.cells.insert(1, nbformat.v4.new_markdown_cell("the head"))
    folding.chapter(notebook, "What?")
    assert "Before you look" in notebook.cells[2].source
    assert told == notebook.cells[0].source.count("{dropdown} What the paper found") == 1


def test_only_a_student_s_book_folds_a_result_and_none_holds_its_marks() -> None:
    first = folding.result(":::{tip}\nIt is 7.\n:::", ask="How <many>?")
    text = f"# T\n\n{first}\n\n{folding.result('So 7.')}\n"
    assert folding.without_marks(text) == "# T\n\n:::{tip}\nIt is 7.\n:::\n\nSo 7.\n"
    shown = folding.page(text)
    assert shown.index("How &lt;many&gt;?</label>") < shown.index("{dropdown}") < shown.index("It is 7.")
    # A fold is fenced by more signs than what it holds.
    assert re.findall("^:{4,}", shown, re.MULTILINE) == ["::::"] * 4
    assert folding.result("") == ""


def test_the_public_page_shows_its_result_first(tmp_path: Path) -> None:
    notebook = nbformat.read(laid(tmp_path, "public") / "notebooks" / "01_safety_amount.ipynb", as_version=4)
    assert "hide-output" not in str([cell.metadata for cell in notebook.cells])
    assert "Before you look" not in str(notebook.cells)
    assert "After this chapter you can" in notebook.cells[1].source


def test_every_page_of_practice_is_in_the_contents_and_the_teacher_s_only_where_it_belongs(
    tmp_path: Path,
) -> None:
    files = (repository_folder() / "book" / "teach").glob("*.md")
    assert sorted(pages.TEACHER) == sorted(path.stem for path in files)
    for audience in ("public", "student", "instructor"):
        source = laid(tmp_path, audience)  # type: ignore[arg-type]
        listed = re.findall(r"file: (practice/\w+)", (source / "_toc.yml").read_text("utf-8"))
        there = {f"practice/{path.stem}" for path in (source / "practice").glob("*.md")}
        assert set(listed) == there
        assert len(listed) == len(there)
        assert ("practice/course" in there) == (audience != "student")
        assert not [name for name in pages.NO_PAGES if (source / "book" / name).exists()]
        yaml.safe_load((source / "_toc.yml").read_text("utf-8"))


@pytest.mark.parametrize("audience", ["public", "student", "instructor"])
def test_every_page_leads_to_pages_of_its_own_book(tmp_path: Path, audience: pages.Audience) -> None:
    """The teacher's pages lie elsewhere in a book than in the clone, and not in every book."""
    source, lost = laid(tmp_path, audience), []
    for path in source.rglob("*.md"):
        for target in re.findall(r"\]\((?!https?:)([^()#\s]+\.(?:md|ipynb))", path.read_text("utf-8")):
            if not (path.parent / target).is_file():
                lost.append(f"{path.relative_to(source)}: {target}")
    assert lost == []


def test_a_quiz_needs_no_script_and_what_it_holds_is_text() -> None:
    questions, of_run = pages.questions_of("01_safety_amount", quizzes.published("01_safety_amount"))
    assert of_run == "*The numbers are of this book's run.*"
    assert "published run" in pages.questions_of("01_safety_amount", {})[1]
    (first, *_) = pages.quiz_parts("01_safety_amount", questions)
    assert "<script" not in first
    assert "onclick" not in first
    assert first.count("<details") == 4
    assert first.count('class="right"') == 1
    assert "&lt;b&gt;" in pages.inline("<b>x</b>")


def test_each_exercise_of_a_chapter_stands_on_its_page_and_in_its_notebook(tmp_path: Path) -> None:
    source = laid(tmp_path, "student")
    for one in exercises().values():
        assert one.signature in (source / "practice" / f"{one.chapter}.md").read_text("utf-8")
        sheet = nbformat.read(source / "practice" / f"{one.chapter}-exercises.ipynb", as_version=4)
        assert any(one.signature in cell.source for cell in sheet.cells)


def test_the_lessons_of_ninety_minutes_have_ninety() -> None:
    text = (repository_folder() / "book" / "teach" / "lessons.md").read_text("utf-8")
    plans = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    assert len(plans) == 3
    for plan in plans:
        rows = [
            (int(h), int(m), int(n))
            for h, m, n in re.findall(r"^\| (\d):(\d\d) \| (\d+) \|", plan, re.MULTILINE)
        ]
        at = 0
        for hours, minutes, takes in rows:
            assert 60 * hours + minutes == at
            at += takes
        assert at == 90


def test_what_plan_a_has_read_fits_its_minutes() -> None:
    """It has chapter 1 read down to the place to predict, in three minutes, at 150 words a minute."""
    notebook = nbformat.read(repository_folder() / "notebooks" / "01_safety_amount.ipynb", as_version=4)
    head = pages.head("01_safety_amount", taught()["01"], TITLES)
    assert len(f"{notebook.cells[0].source} {head}".split()) / 150 < 3
