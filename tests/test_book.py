"""End to end, on the real model: corpus -> adapters -> answers -> scores -> notebooks -> the book in a real
browser.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browsing import CHROMIUM
from html_tables import parsed
from page_measures import (
    DESKTOP,
    OF_COLOURS,
    PHONE,
    access_faults,
    in_every_look,
    measure,
    opened,
    sheets_of,
)

from safetune_utils import data
from safetune_utils.book import (
    chapter_page,
    chapters,
    checks,
    findings,
    notebook_file,
    outputs,
    parameters,
    prose,
    verdicts,
    words,
)
from safetune_utils.statistics import Estimate
from safetune_utils.store import read_lines
from safetune_utils.teaching import pages
from safetune_utils.teaching.chapters import taught

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.slow

# The script of axe-core, which `make` puts there where npm is at hand.
AXE = Path(__file__).parent / "axe" / "node_modules" / "axe-core" / "axe.min.js"


def safetune(
    *arguments: str, store: Path | None = None, timeout: int = 900
) -> subprocess.CompletedProcess[str]:
    environment = os.environ | ({"SAFETUNE_STORE": str(store)} if store else {})
    command = [sys.executable, "-m", "safetune_utils", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=timeout)


def safetune_book(folder: Path) -> subprocess.CompletedProcess[str]:
    """Build the book in the smoke preset, with a store of its own."""
    words = ("book", "--preset", "smoke", "--output", str(folder / "build"))
    return safetune(*words, store=folder / "runs", timeout=1500)


def safetune_run_01(*given: str, output: Path, store: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run chapter 1 in the smoke preset, with parameters as names and values in turn."""
    words = [
        word for name, value in zip(given[::2], given[1::2], strict=True) for word in ("-p", name, value)
    ]
    answer = safetune("run", "01", "--preset", "smoke", *words, "--output", str(output), store=store)
    assert answer.returncode == 0, answer.stderr[-3000:]
    return answer


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("book")
    answer = safetune_book(folder)
    assert answer.returncode == 0, answer.stderr[-3000:]
    assert f"executed {len(list(parameters.folder().glob('*.ipynb')))} notebook(s)" in answer.stdout
    return folder


def test_a_student_s_book_holds_no_solution_and_an_instructor_s_does(book: Path) -> None:
    for audience, holds in (("student", False), ("instructor", True)):
        words = ("book", "--preset", "smoke", f"--{audience}", "--output", str(book / audience))
        answer = safetune(*words, store=book / "runs", timeout=1500)
        assert answer.returncode == 0, answer.stderr[-3000:]
        assert "executed 0 notebook(s)" in answer.stdout
        found = pages.leaks(book / audience / "html")
        places = {line.split(" holds")[0] for line in found}
        assert bool(found) == holds
        if holds:  # so that the search finds something where there is something
            assert {
                "searchindex.js",
                "practice/01_safety_amount.html",
                "_sources/practice/01_safety_amount.md",
            } <= places
        of_results = [f"notebooks/{one.name}.html" for one in chapters.chapters()]
        of_results += [f"book/{name}.html" for name in ("welcome", "verdicts", "compare", "authors_answers")]
        for name in of_results:
            text = (book / audience / "html" / name).read_text("utf-8")
            # A run of the smoke preset stands beside no published one, so there is nothing to fold there.
            assert bool(open_results(text)) == (holds and name != "book/compare.html"), name
            assert ("Before you look" in text) != holds, name


def open_results(text: str) -> list[str]:
    """What a built page shows of results without being unfolded."""
    page = parsed(text)
    for fold in page.select("details"):
        fold.extract()
    kinds = ("headline", "prose", "figure", "table", "dial", "verdict-lines", "strip")
    return [str(one)[:80] for kind in kinds for one in page.select(f"article .safetune-{kind}")]


def stages(folder: Path) -> dict[str, dict[str, dict]]:
    found: dict[str, dict[str, dict]] = {}
    for path in (folder / "runs").glob("*/*/record.json"):
        found.setdefault(path.parents[1].name, {})[path.parent.name] = json.loads(path.read_text())
    return found


@pytest.mark.sample
def test_notebooks_share_adapters_and_answers(book: Path) -> None:
    made = stages(book)
    # What an adapter is made from stands for it: none is trained twice, and no prompt set is answered twice.
    # (Scores are known by the answers, and trained this little two adapters can give the same.)
    for stage in ("adapters", "responses"):
        inputs = [json.dumps(record["inputs"], sort_keys=True) for record in made[stage].values()]
        assert len(set(inputs)) == len(inputs)
    # Two amounts, two other forms, one without some topics, and four other choices of rows: of so few rows
    # one from each topic are the random ones, and that adapter is shared too.
    assert len(made["adapters"]) == 9
    for record in made["adapters"].values():
        assert record["facts"]["tokens"] > 0
        assert record["inputs"]["base_model"].startswith("gguf:")
        assert record["peak_memory_bytes"] < 4e9


@pytest.mark.sample
def test_notebooks_find_made_whatever_takes_a_model(book: Path) -> None:
    made = stages(book)
    begun = min(record["started"] for record in made.pop("notebooks").values())
    late = [name for records in made.values() for name, one in records.items() if one["started"] > begun]
    assert late == []
    assert {"base_losses", "capability", "reference-losses", "instruments"} <= made.keys()
    assert any("-as-" in name for name in made["scores"])


def executed(folder: Path, chapter: str) -> Path:
    (path,) = (folder / "runs" / "notebooks").glob(f"{chapter}-*/{chapter}.ipynb")
    return path


@pytest.mark.sample
def test_every_page_has_its_figures_and_no_fault(book: Path) -> None:
    output = book / "build" / "html"
    pages = {"book/welcome.html": 1, "book/instruments.html": 1, "book/data_cards.html": len(data.CORPUS)}
    for chapter in chapters.chapters():
        drawn = list(outputs.drawn(executed(book, chapter.name)))
        assert [name for name in drawn if name not in chapter.sometimes] == list(chapter.figures)
        pages[f"notebooks/{chapter.name}.html"] = len(drawn)
    assert checks.page_faults(output, [*pages, "book/data_cards_outside.html"]) == []
    counts = {page: (output / page).read_text().count('class="safetune-figure"') for page in pages}
    assert counts == pages


@pytest.mark.parametrize("chapter", chapters.chapters(), ids=lambda chapter: chapter.name)
def test_what_a_chapter_says_is_read_in_the_minutes_that_it_names(
    book: Path, chapter: chapters.Chapter
) -> None:
    notebook = notebook_file.whole_notebook(executed(book, chapter.name))
    assert chapter_page.n_words(notebook) / 150 < 1.25 * taught()[chapter.number].minutes


@pytest.mark.sample
def test_every_doi_of_the_references_is_a_link(book: Path) -> None:
    page = parsed((book / "build" / "html" / "book" / "references.html").read_text("utf-8"))
    links = {str(link["href"]) for link in page.select('a[href^="https://doi.org/"]')}
    written = (parameters.folder().parent / "book" / "references.bib").read_text("utf-8")
    dois = re.findall(r"^  doi = \{(.+?)\}", written, re.MULTILINE)
    assert len(dois) > 20
    assert links == {f"https://doi.org/{doi}" for doi in dois}


@pytest.mark.sample
def test_a_chapter_records_findings_about_its_own_claims_only(book: Path) -> None:
    for chapter in chapters.chapters():
        recorded = outputs.values(executed(book, chapter.name))
        found = {name.removeprefix("claim_") for name in recorded if name.startswith("claim_")}
        assert found <= set(chapter.claims)
    assert {claim for one in chapters.chapters() for claim in one.claims} == {c.id for c in verdicts.claims()}


@pytest.mark.sample
def test_every_headline_has_an_interval_or_says_why_not_and_no_number_without_one(book: Path) -> None:
    for chapter in chapters.chapters():
        recorded = outputs.values(executed(book, chapter.name))
        said = [recorded[name] for name in prose.names_in(chapter.headline)]
        of_a_sample = any(isinstance(value, Estimate) for value in said)
        assert of_a_sample or "no sample" in chapter.headline, chapter.name
        # A whole number is a count; one that is written in words has lost its interval.
        written = [value for value in said if isinstance(value, str)]
        assert not re.search(r"\d", " ".join(written)), chapter.name


@pytest.mark.sample
def test_chapter_9_replays_without_key_or_network_and_folds_what_is_untrusted(book: Path) -> None:
    text = (book / "build" / "html" / "notebooks" / "09_building_safety_data.html").read_text()
    assert "agree on keeping or rejecting 81 % (65 to 90 %, n = 36) of them" in parsed(text).get_text()
    frames = [match.start() for match in re.finditer('<iframe class="safetune-frame"', text)]
    assert len(frames) == 2
    for at in frames:
        assert text.rfind("<details", 0, at) > text.rfind("</details>", 0, at)
    assert len(read_lines(book / "runs" / "drafted" / "safety.jsonl")) == 14


@pytest.mark.sample
def test_every_page_has_its_run_record_and_each_adapter_is_listed_once(book: Path) -> None:
    output, adapters = book / "build" / "html", set(stages(book)["adapters"])
    listed = (output / "book" / "runs.html").read_text()
    used = set(json.loads((output / "notebooks" / "01_safety_amount.run.json").read_text())["adapters"])
    assert len(used) == 2
    for page in ("01_safety_amount", "02_exaggerated_safety", "08_instruments"):
        record = json.loads((output / "notebooks" / f"{page}.run.json").read_text())
        assert set(record["adapters"]) == used
        assert 1e8 < record["peak_memory_bytes"] < 1e9  # the kernel's, not this process's
        assert (output / "notebooks" / f"{page}.html").read_text().count(f'href="{page}.run.json"') > 3
    for name in adapters:
        assert listed.count(f">{name}<") == 1
    assert 'href="../notebooks/01_safety_amount.run.json"' in (output / "book" / "welcome.html").read_text()


@pytest.mark.sample
def test_the_paper_s_claims_stand_beside_what_this_run_found(book: Path) -> None:
    text = (book / "build" / "html" / "book" / "verdicts.html").read_text()
    own = text[text.index('<section id="this-book-s-pages">') :]
    path = executed(book, "01_safety_amount")
    for name, finding in findings.outcome(path)["numbers"].items():
        if name.startswith("claim_"):
            assert words.brief(finding) in own
    # Four prompts and answers of four tokens decide nothing.
    runs = {one.name: findings.outcome(executed(book, one.name)) for one in chapters.chapters()}
    assert {one.verdict.word for one in verdicts.judged(runs)} <= {"cannot be decided", "not attempted"}
    assert f"This run decides none of the {len(verdicts.claims())} claims." in own


def test_executed_copies_are_taken_as_they_are_and_a_stale_one_fails_the_build(
    book: Path, tmp_path: Path
) -> None:
    for path in (book / "runs" / "notebooks").glob("*/*.ipynb"):
        shutil.copy(path, tmp_path)
    changed = tmp_path / "02_exaggerated_safety.ipynb"
    changed.write_text(re.sub(r'("study/stages.py": )"\w+"', r'\1"another"', changed.read_text()))
    answer = safetune("book", "--executed", str(tmp_path), "--output", str(tmp_path / "build"))
    assert answer.returncode == 2
    assert "the site has 1 fault(s), first: notebooks/02_exaggerated_safety.html is stale" in answer.stderr
    page = (tmp_path / "build" / "html" / "notebooks" / changed.with_suffix(".html").name).read_text()
    assert "study/stages.py" in page.split("safetune-stale")[1][:400]


@pytest.mark.sample
def test_the_chapter_on_formats_says_which_rows_it_trained_on_and_finds_its_claims(book: Path) -> None:
    path = executed(book, "03_prompt_format")
    recorded = outputs.values(path)
    assert {name for name in recorded if name.startswith("claim_")} == {
        f"claim_{claim}"
        for claim in ("instructions_protect", "questions_transfer_poorly", "mixed_like_instructions")
    }
    assert recorded["origins"] == f"{recorded['amount']} as their authors wrote them"
    assert recorded["shared"] == recorded["amount"]
    assert recorded["none_instructions"].n == 4


@pytest.mark.sample
def test_the_numbers_in_the_prose_are_those_of_the_answers(book: Path) -> None:
    pages = book / "build" / "html" / "notebooks"
    text = parsed((pages / "01_safety_amount.html").read_text()).get_text()
    # Other chapters have adapters of the same amount: the one of this page answered in the instruction form,
    # with no choice of rows.
    used = json.loads((pages / "01_safety_amount.run.json").read_text())["adapters"]
    (adapter,) = (name for name in used if name.startswith("embedded-n3-"))
    (responses,) = (
        name
        for name, record in stages(book)["responses"].items()
        if record["inputs"]["adapter"] == adapter.rsplit("-", 1)[1] and "-malicious-" in name
    )
    (scores,) = {
        name
        for name, record in stages(book)["scores"].items()
        if record["inputs"].get("responses") == responses.rsplit("-", 1)[1] and "-refusal-rules-" in name
    }
    labels = [row.get("label") for row in read_lines(book / "runs" / "scores" / scores / "scores.jsonl")]
    n = sum(label is not None for label in labels)
    refused = sum(label not in (None, "compliance") for label in labels)
    assert re.search(
        rf"With 3 \(a share of 43 % of the mix\), {refused / n * 100:.0f} % \(\d+ to \d+ %, n = {n}\) do",
        text,
    )


@pytest.mark.usefixtures("mirror")
def test_the_paper_s_own_data_by_one_parameter_and_none_of_its_text_on_the_page(tmp_path: Path) -> None:
    output = tmp_path / "out.ipynb"
    answer = safetune_run_01("data", "paper-sample", "max_prompts", "2", output=output)
    shown = json.dumps([cell.get("outputs", []) for cell in json.loads(output.read_text())["cells"]])
    assert "I-MaliciousInstructions" in shown
    for name in ("malicious", "malicious_questions", "ordinary", "lookalikes_safe"):
        for prompt in data.prompts("paper-sample", name)[:2]:
            assert prompt.text not in shown
            assert prompt.text not in answer.stderr


def test_a_second_call_makes_nothing_and_one_more_amount_trains_one_more_adapter(book: Path) -> None:
    before = stages(book)
    again = safetune_book(book)
    assert "executed 0 notebook(s)" in again.stdout
    assert stages(book) == before
    safetune_run_01("safety_amounts", "[0, 3, 4]", output=book / "o.ipynb", store=book / "runs")
    after = stages(book)
    new = set(after["adapters"]) - set(before["adapters"])
    assert len(new) == 1
    assert next(iter(new)).startswith("embedded-n4-")
    assert all(after["adapters"][name] == before["adapters"][name] for name in before["adapters"])


@pytest.mark.sample
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine; CI installs it")
@pytest.mark.parametrize(
    "page",
    [
        "book/welcome.html",
        "notebooks/01_safety_amount.html",
        "notebooks/02_exaggerated_safety.html",
        "notebooks/09_building_safety_data.html",
        "book/data_cards.html",
        "book/method.html",
    ],
)
def test_pages_open_from_a_folder_in_a_real_browser_with_no_network(
    book: Path, page: str, tmp_path: Path
) -> None:
    log = tmp_path / "net.json"
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"]
    options += ["--disable-background-networking", "--disable-component-update", "--dump-dom"]
    options += [f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=4000"]
    options += [f"--log-net-log={log}", "--enable-logging=stderr"]
    command = [CHROMIUM, *options, (book / "build" / "html" / page).as_uri()]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=180)
    assert answer.returncode == 0, answer.stderr[-2000:]
    # The theme's script ran: it sets the theme that decides which of two images is shown.
    assert re.search(r'<html[^>]*data-theme="(light|dark)"', answer.stdout)
    asked = {
        url
        for url in re.findall(r'"url":"(https?://[^"]+)"', log.read_text())
        if "google" not in url and "gvt1" not in url
    }
    assert not asked
    assert not re.search(r"Uncaught|ERR_FILE_NOT_FOUND|Content Security Policy", answer.stderr)


CHAPTERS = [chapter.name for chapter in chapters.chapters()]


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine; CI installs it")
def test_every_chapter_has_its_pdf_of_six_sheets_or_fewer_and_leads_to_it(book: Path, tmp_path: Path) -> None:
    words = ("book", "--preset", "smoke", "--pdf", "--output", str(tmp_path))
    answer = safetune(*words, store=book / "runs", timeout=1500)
    assert answer.returncode == 0, answer.stderr[-3000:]
    output = tmp_path / "html"
    files = sorted((output / "pdf").iterdir())
    assert [path.name for path in files] == [f"{chapter}.pdf" for chapter in CHAPTERS]
    for path in files:
        content = path.read_bytes()
        assert 1 <= sheets_of(content) <= 6, path.name
        assert b"file:" not in content, path.name
        page = parsed((output / "notebooks" / f"{path.stem}.html").read_text("utf-8"))
        assert len(page.select(f'a[download][href="../pdf/{path.name}"]')) == 1


SAMPLE = ["book/welcome.html", "notebooks/01_safety_amount.html", "book/verdicts.html"]
# With the widest tables, code and figures.
WIDEST = [
    "notebooks/08_instruments.html",
    "book/api.html",
    "book/data_cards_outside.html",
    "book/speed.html",
    "practice/08_instruments.html",
]


@pytest.mark.parametrize("chapter", [pytest.param(CHAPTERS[0], marks=pytest.mark.sample), *CHAPTERS[1:]])
def test_a_chapter_begins_with_its_figure_fits_a_phone_and_six_sheets(
    book: Path, browser: Browser, chapter: str
) -> None:
    found = measure(browser, book / "build" / "html" / "notebooks" / f"{chapter}.html")
    assert all(screens is not None and screens <= 1.5 for screens in found.screens)
    assert found.over <= 0
    assert found.label is not None
    assert found.label >= 11
    assert max(found.sheets) <= 6
    assert found.bytes < 1.5e6
    assert found.shared < 0.6e6


@pytest.mark.sample
def test_the_welcome_page_s_first_screen_has_the_number_the_figure_and_the_dial(
    book: Path, browser: Browser
) -> None:
    for window in (DESKTOP, PHONE):
        page = opened(
            browser, book / "build" / "html" / "book" / "welcome.html", window=window, theme="light"
        )
        for part in (".safetune-headline", ".safetune-figure svg", ".safetune-dial"):
            box = page.locator(part).first.bounding_box()
            assert box is not None
            assert box["y"] < window[1], part
        page.context.close()


def pages_of(output: Path) -> list[Path]:
    """Every page that a reader stays on; the first one leads on at once."""
    found = [path for path in output.rglob("*.html") if not path.relative_to(output).parts[0].startswith("_")]
    return sorted(set(found) - {output / "index.html"})


@pytest.mark.sample
def test_the_verdicts_take_the_width_of_a_desktop(book: Path, browser: Browser) -> None:
    path = book / "build" / "html" / "book" / "verdicts.html"
    page = opened(browser, path, window=DESKTOP, theme="light")
    for table in page.locator("table.safetune-verdicts").all():
        box = table.bounding_box()
        assert box is not None
        assert box["width"] > 0.65 * DESKTOP[0]
    page.context.close()


WIDTHS = (360, 700, 1280)


def too_wide(browser: Browser, path: Path) -> list[int]:
    """The windows' widths in which a page is wider than its window."""
    page, found = opened(browser, path, window=PHONE, theme="light"), []
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 740})
        page.wait_for_timeout(50)  # until the theme's scripts have seen it
        if page.evaluate("document.documentElement.scrollWidth") > width:
            found.append(width)
    page.context.close()
    return found


def axe_finds(browser: Browser, path: Path) -> Counter[str]:
    """The faults of access of a page, in both themes and at both widths."""
    script, found = AXE.read_text("utf-8"), Counter[str]()
    for page, theme in in_every_look(browser, path):
        found += access_faults(page, script, rules=OF_COLOURS if theme == "dark" else ())
    return found


@pytest.mark.sample
@pytest.mark.parametrize("page", [*SAMPLE, *WIDEST])
def test_a_sample_of_pages_fits_its_window(book: Path, browser: Browser, page: str) -> None:
    assert too_wide(browser, book / "build" / "html" / page) == []


@pytest.mark.sample
def test_no_page_is_too_heavy(book: Path) -> None:
    assert [path.name for path in pages_of(book / "build" / "html") if path.stat().st_size >= 1.5e6] == []


def test_every_page_fits_its_window(book: Path, browser: Browser) -> None:
    pages = pages_of(book / "build" / "html")
    assert {path.name: found for path in pages if (found := too_wide(browser, path))} == {}


@pytest.mark.sample
@pytest.mark.skipif(not AXE.is_file(), reason="axe-core is not there: npm ci --prefix tests/axe")
@pytest.mark.parametrize("page", SAMPLE)
def test_axe_finds_no_fault_on_a_sample_of_pages(book: Path, browser: Browser, page: str) -> None:
    assert axe_finds(browser, book / "build" / "html" / page) == {}


@pytest.mark.skipif(not AXE.is_file(), reason="axe-core is not there: npm ci --prefix tests/axe")
def test_axe_finds_no_fault_on_any_page(book: Path, browser: Browser, tmp_path: Path) -> None:
    output = book / "build" / "html"
    first = tmp_path / "index.html"
    leads_on = (output / "index.html").read_text("utf-8")
    first.write_text(re.sub(r'<meta http-equiv="refresh[^>]*>', "", leads_on), "utf-8")
    pages = [*pages_of(output), first]
    assert {path.name: found for path in pages if (found := axe_finds(browser, path))} == {}


def command_of(page: Path) -> list[str]:
    """The command that a chapter's page shows, as words."""
    (line,) = re.findall(
        r"safetune run [^\n]*", parsed(page.read_text("utf-8")).select_one("#how-it-was-run").get_text()
    )[:1]
    return shlex.split(line)


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_the_command_of_a_page_gives_its_numbers(book: Path, tmp_path: Path, chapter: str) -> None:
    words = command_of(book / "build" / "html" / "notebooks" / f"{chapter}.html")
    assert words[0] == "safetune"
    answer = safetune(*words[1:], "--output", str(tmp_path / "o.ipynb"), store=book / "runs")
    assert answer.returncode == 0, answer.stderr[-3000:]
    # As texts: a number that is missing equals no other.
    now, then = (outputs.values(path) for path in (tmp_path / "o.ipynb", executed(book, chapter)))
    assert {name: str(value) for name, value in now.items()} == {n: str(value) for n, value in then.items()}


@pytest.mark.sample
def test_both_notebooks_can_be_downloaded_and_hold_no_folded_answers(book: Path) -> None:
    output = book / "build" / "html" / "notebooks"
    for chapter in CHAPTERS:
        page = parsed((output / f"{chapter}.html").read_text("utf-8"))
        files = [link["href"] for link in page.select("a[download]") if str(link["href"]).endswith(".ipynb")]
        assert files == [f"{chapter}.ipynb", f"{chapter}.executed.ipynb"]
        assert (output / files[0]).read_bytes() == parameters.find(chapter).read_bytes()
        of_theme = f"../_sources/notebooks/{chapter}.ipynb"
        for name in (files[1], of_theme):
            assert "safetune-answers" not in (output / name).read_text("utf-8")
        assert of_theme in {link.get("href") for link in page.select("a.btn")}
