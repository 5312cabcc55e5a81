"""Named sets of every source: embedded, the paper's, a user's folder; forms; the paper's mixes; what is
shared.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path

import pytest
import yaml
from safetune_utils.data.UNKNOWN import compared

from safetune_utils import data, places
from safetune_utils.errors import SafetuneError
from safetune_utils.study import mixes
from safetune_utils.study.design import state
from safetune_utils.study.study import Run, Study


@pytest.mark.parametrize("name", data.available_prompt_sets("embedded"))
def test_embedded_prompt_sets_have_unique_ids_and_texts(name: str) -> None:
    prompts = data.prompts("embedded", name)
    assert len(prompts) >= 40
    assert len({p.id for p in prompts}) == len({p.text for p in prompts}) == len(prompts)
    assert all(p.text.endswith("?") for p in prompts) or name not in ("malicious_questions", "opinions")


def test_the_paper_s_sets_have_the_sizes_of_the_paper(mirror: Path) -> None:
    sizes = {name: len(data.prompts("paper", name)) for name in data.PROMPT_SETS if name != "opinions"}
    assert sizes == {
        "malicious": 100, "malicious_questions": 100, "hateful": 178, "controversial": 40, "physical_unsafe": 100,
        "physical_safe": 100, "lookalikes_unsafe": 200, "lookalikes_safe": 250, "ordinary": 50,
    }  # fmt: skip
    assert len(data.safety_examples("paper-sample")) == 2483
    assert len(data.general_examples("paper-sample")) == 2000


def test_the_forms_that_the_paper_did_not_release_are_marked_as_rewritten(mirror: Path) -> None:
    opinions = data.prompts("paper", "opinions")
    assert 0 < len(opinions) <= 40
    assert {p.origin for p in opinions} == {"rewritten"}
    assert all(p.text.endswith("?") and p.pair for p in opinions)

    plain, asked = data.safety_examples("paper-sample"), data.safety_examples("paper-sample", questions=True)
    assert {row.question for row in plain} == {""}
    assert {row.question_origin for row in asked} == {
        "rewritten"
    }  # the red-team attempts are not on the mirror
    assert all(row.question.endswith("?") for row in asked)
    counts = data.question_counts(plain)
    assert counts["rewritten"] == len(asked)
    assert counts["rewritten"] + counts["none"] == 2483


def test_any_set_is_loaded_as_a_dataset_of_one_of_two_record_types(mirror: Path, tmp_path: Path) -> None:
    examples, prompts = data.load("corpus/safety"), data.load("corpus/lookalikes")
    assert examples.column_names == [
        "id",
        "instruction",
        "output",
        "input",
        "question",
        "question_origin",
        "topic",
        "kind",
    ]
    assert prompts.column_names == ["id", "text", "input", "topic", "kind", "label", "pair", "origin"]
    assert (len(examples), len(prompts)) == (276, 198)
    assert data.load("safety-instructions").features == examples.features
    assert data.load("XSTest").features == prompts.features
    assert data.Example(**examples[5]) == data.safety_examples("embedded")[5]
    path = tmp_path / "mine.csv"
    path.write_text("prompt,topic\nName a fruit.,food\n")
    assert data.load(str(path))[0]["topic"] == "food"
    with pytest.raises(SafetuneError, match="labelled answers"):
        data.load("Safe-RLHF-mini")
    with pytest.raises(SafetuneError, match="unknown set 'nothing'"):
        data.load("nothing")


def test_a_user_s_folder_works_in_mixed_forms(tmp_path: Path) -> None:
    (tmp_path / "general.csv").write_text("prompt,response\nSay hi.,Hi there.\n", "utf-8")
    (tmp_path / "safety.json").write_text(
        '[{"instruction": "Do harm.", "question": "How to harm?", "output": "No."}]', "utf-8"
    )
    (tmp_path / "malicious.json").write_text(
        '{"instructions": ["Hurt."], "inputs": [], "tags": ["hate"]}', "utf-8"
    )
    (tmp_path / "ordinary.jsonl").write_text('{"prompt": "Say hi.", "type": "greeting"}\n', "utf-8")
    source = str(tmp_path)
    assert data.general_examples(source)[0].output == "Hi there."
    assert data.safety_examples(source)[0].question == "How to harm?"
    assert data.prompts(source, "malicious")[0].topic == "hate"
    assert data.prompts(source, "ordinary")[0].kind == "greeting"
    assert data.available_prompt_sets(source) == ["malicious", "ordinary"]
    with pytest.raises(SafetuneError, match=r"has no opinions\.jsonl \(or \.json, \.csv, \.tsv, \.parquet\)"):
        data.prompts(source, "opinions")


def test_unknown_names_are_told() -> None:
    with pytest.raises(SafetuneError, match="unknown prompt set 'malign'"):
        data.prompts("embedded", "malign")
    with pytest.raises(SafetuneError, match="a folder that exists"):
        data.general_examples("embeded")


# ----------------------------------------------------------------------------------------------------- the
# paper's mixes


@pytest.fixture
def small_paper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The paper's files in small, on a mirror of their own: 40 general rows, 120 safety rows, a mix with 100
    of them.
    """
    general = [{"instruction": f"Count to {n}.", "input": "", "output": f"{n}"} for n in range(40)]
    safety = [{"instruction": f"Explain how to harm {n}.", "output": "No.", "input": ""} for n in range(120)]
    ready = [*general[20:], *safety[:10:-1][:100], *general[:20]]
    real = {entry.name: entry for entry in data.registered_sets().values()}
    entries = []
    safety[3]["instruction"] = "Explain how to hide a wet umbrella among the books."
    safety[8]["instruction"] = "Explain how to bring a loud trumpet into the reading room."
    # These two have their question in the red-team attempts; the other attempts are about something else.
    asked = [
        "How can I hide a wet umbrella among the books?",
        "What is the weather like in May?",
        "How do you bring a loud trumpet into the reading room?",
        "Who wrote this long and famous novel?",
    ]
    attempts = [{"transcript": f"\n\nHuman: {text}\n\nAssistant: No.\n\nHuman: Why?"} for text in asked]
    for name, rows in (
        ("alpaca-20000", general),
        ("safety-instructions", safety),
        ("mix-100", ready),
        ("red-team-attempts", attempts),
    ):
        content = (
            json.dumps(rows).encode()
            if name != "red-team-attempts"
            else gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode())
        )
        blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        entry = vars(real[name]) | {"bytes": None, "sha256": None, "git_blob": blob, "rows": len(rows)}
        path = tmp_path / "mirror" / entry["repository"] / entry["commit"] / entry["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        group = {key: entry.pop(key) for key in ("repository", "commit", "licence", "citation", "note")}
        entries.append(group | {"sets": [entry]})
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "register.yml").write_text(
        yaml.safe_dump({"files": entries, "benchmarks": [], "not_released": []})
    )
    monkeypatch.setenv("SAFETUNE_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("SAFETUNE_MIRROR", str(tmp_path / "mirror"))
    monkeypatch.setenv("SAFETUNE_CACHE", str(tmp_path / "cache"))
    return tmp_path


def test_question_forms_come_from_the_red_team_attempts_where_they_can_be_had(
    small_paper: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = {row.id: row for row in data.safety_examples("paper", questions=True)}
    origins = {row_id: row.question_origin for row_id, row in rows.items()}
    assert [row_id for row_id, origin in origins.items() if origin == "red-team attempts"] == [
        "safety-instructions-00003",
        "safety-instructions-00008",
    ]
    assert rows["safety-instructions-00003"].question == "How can I hide a wet umbrella among the books?"
    assert rows["safety-instructions-00004"].question == "How do I harm 4?"
    assert set(origins.values()) == {"red-team attempts", "rewritten"}
    assert data.question_counts(data.safety_examples("paper")) == {"rewritten": 118, "red-team attempts": 2}
    assert capsys.readouterr().err.count("matching") == 1  # kept after the first time


def test_a_ready_made_mix_is_the_general_set_and_safety_rows(small_paper: Path) -> None:
    found = data.compare_paper_mix(100)
    assert found.same
    assert (found.rows, found.general, found.general_missing, found.safety, found.foreign) == (
        140,
        40,
        0,
        100,
        0,
    )
    assert found.safety_ids == {f"safety-instructions-{n:05d}" for n in range(20, 120)}
    assert data.paper_safety_ids(300) is None


def test_our_mix_of_the_paper_s_size_has_the_rows_of_the_ready_made_one(small_paper: Path) -> None:
    from safetune_utils.study import Run, Study

    recipe = {"n_validation": 6, "validation": "from_mix"}
    study = state(prompt_sets=[], data="paper", n_general=40, safety_amounts=[100], recipe=recipe)
    drawn = mixes.mix_of(study, Run(100, 3))
    ours = sorted((row.instruction, row.output) for row in [*drawn.train, *drawn.validation])
    theirs = sorted(
        (row["instruction"], row["output"]) for row in data.read_table(data.fetch("mix-100")).rows
    )
    assert ours == theirs
    assert (len(drawn.train), len(drawn.validation)) == (134, 6)


def test_a_mix_with_other_rows_is_told(small_paper: Path) -> None:
    entry = data.registered_sets()["mix-100"]
    path = small_paper / "mirror" / entry.relative
    rows = json.loads(path.read_text())
    rows[3]["output"] = "changed"
    path.write_text(json.dumps(rows))
    with pytest.raises(SafetuneError, match="wrong git blob id"):
        data.compare_paper_mix(100)
    from safetune_utils.data.paper import _compared

    found = compared(rows)
    assert not found.same
    assert (found.general_missing, found.foreign) == (1, 1)


# -------------------------------------------------------------------------------------------------------------
# overlap


def test_exact_and_near_copies_are_found_in_both_forms() -> None:
    train = [
        data.Example(id="a", instruction="Explain how rain forms.", output="…"),
        data.Example(
            id="b",
            instruction="Write a short poem about an autumn evening by the lake.",
            question="How does a bee find its way home?",
            output="…",
        ),
    ]
    test = [
        data.Prompt(id="exact", text="  explain how RAIN forms"),
        data.Prompt(id="question", text="How does a bee find its way home?"),
        data.Prompt(id="near", text="Write a short poem about an autumn morning by the lake."),
        data.Prompt(id="other", text="List three uses of a paper clip."),
    ]
    found = data.overlap(train, test)
    assert found.exact == data.exact_copies(train, test) == ["exact", "question"]
    assert found.near == ["near"]
    assert {copy.test_id: copy.train_id for copy in found.copies} == {
        "exact": "a",
        "question": "b",
        "near": "b",
    }
    assert (found.n_train, found.n_test, found.highest) == (2, 4, 100.0)
    assert data.overlap(train, test, at_least=99).near == []


def test_copies_are_found_behind_the_first_chunk() -> None:
    train = [
        data.Example(
            id=f"r{n}", instruction=f"Count the beads of heap number {n} and write the sum.", output="…"
        )
        for n in range(4500)
    ]
    found = data.overlap(
        train, [data.Prompt(id="x", text="Count the beads of heap number 4321 and write the sum.")]
    )
    assert [(copy.train_id, copy.exact) for copy in found.copies] == [("r4321", True)]


def test_no_test_prompt_of_the_embedded_corpus_is_trained_on() -> None:
    rows = data.overlaps("embedded")
    assert len(rows) == 27
    assert all(row["exact"] == row["near"] == 0 for row in rows)


def test_the_paper_s_safety_file_repeats_some_of_its_test_prompts(mirror: Path) -> None:
    found = {(row["train"], row["test"]): row for row in data.overlaps("paper-sample")}
    assert found["safety", "malicious"]["prompts"] == 100
    assert (found["general", "ordinary"]["title"], found["general", "ordinary"]["exact"]) == ("I-Alpaca", 2)


def test_a_study_names_the_prompts_that_it_trains_on(mirror: Path, tmp_path: Path) -> None:
    from safetune_utils.study import Study

    study = state(
        prompt_sets=["malicious", "ordinary"], data="paper-sample", safety_amounts=[0, 20], n_general=1900
    )
    assert mixes.leaks(study) == {"ordinary": ["I-Alpaca-0018", "I-Alpaca-0040"]}
    assert state(prompt_sets=["malicious", "ordinary"]).leaks() == {}


def test_shapes_hold_counts_and_no_text() -> None:
    shape = data.corpus_shape("safety")
    assert (
        shape.rows == shape.distinct == sum(shape.topics.values()) == sum(shape.prompt_words.values()) == 276
    )
    assert set(shape.topics.values()) == {23}
    assert shape.topics_are == "topic"
    assert data.corpus_shape("lookalikes").topics_are == "type"
    assert set(data.CORPUS) == {path.stem for path in (places.data_folder() / "corpus").glob("*.jsonl")}


def test_the_list_names_every_set_with_its_whereabouts(mirror: Path) -> None:
    rows = {row["name"]: row for row in data.listing()}
    assert rows["corpus/general"] == {
        "name": "corpus/general", "where": "embedded", "rows": 550, "size": "186 kB", "licence": "CC-BY-4.0",
        "tests": "to train on: ordinary instructions with answers",
    }  # fmt: skip
    assert rows["XSTest"]["where"] == "mirror"
    assert rows["mix-100"]["where"] == "not on the mirror"
    assert rows["PIQA"]["where"] == "by lm-eval"
    assert rows["O-Controversial"]["where"] == "not released"
