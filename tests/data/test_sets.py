"""Named sets of every source: embedded, the paper's, a user's folder, in the forms that each has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from safetune_utils import data, statistics
from safetune_utils.errors import SafetuneError
from safetune_utils.presets import resolve


@pytest.mark.parametrize("name", data.available_prompt_sets("embedded"))
def test_embedded_prompt_sets_have_unique_ids_and_texts(name: str) -> None:
    prompts = data.prompts("embedded", name)
    assert len(prompts) >= 40
    assert len({p.id for p in prompts}) == len({p.text for p in prompts}) == len(prompts)
    assert all(p.text.endswith("?") for p in prompts) or name not in ("malicious_questions", "opinions")


def test_the_paper_s_sets_have_the_sizes_of_the_paper(mirror: Path) -> None:
    sizes = {name: len(data.prompts("paper", name)) for name in data.available_prompt_sets("paper")}
    del sizes["opinions"]  # rewritten, where a rule fits
    assert sizes == {
        "malicious": 100,
        "malicious_questions": 100,
        "hateful": 178,
        "controversial": 40,
        "physical_unsafe": 100,
        "physical_safe": 100,
        "lookalikes_unsafe": 200,
        "lookalikes_safe": 250,
        "ordinary": 50,
    }
    assert len(data.safety_examples("paper-sample")) == 2483
    assert len(data.general_examples("paper-sample")) == 2000


def test_the_forms_that_the_paper_did_not_release_are_marked_as_rewritten(mirror: Path) -> None:
    opinions = data.prompts("paper", "opinions")
    assert 0 < len(opinions) <= 40
    assert {p.origin for p in opinions} == {"rewritten"}
    assert all(p.text.endswith("?") and p.pair for p in opinions)

    plain, asked = data.safety_examples("paper-sample"), data.safety_examples("paper-sample", questions=True)
    assert {row.question for row in plain} == {""}
    # The red-team attempts are not on the mirror.
    assert {row.question_origin for row in asked} == {"rewritten"}
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


def test_a_set_of_ones_own_has_any_name_and_needs_one_entry(tmp_path: Path) -> None:
    (tmp_path / "general.csv").write_text("prompt,response\nSay hi.,Hi there.\n", "utf-8")
    (tmp_path / "desk.csv").write_text("prompt\nWhere is the atlas?\n", "utf-8")
    (tmp_path / "ordinary.jsonl").write_text('{"prompt": "Say hi."}\n', "utf-8")
    own = str(tmp_path / "desk.csv")
    # From a folder: the file is the entry.
    folder = resolve(data=str(tmp_path))
    assert data.prompt_sets_of(folder) == ["ordinary", "desk"]
    assert [p.text for p in data.prompts_of(folder, "desk")] == ["Where is the atlas?"]
    with pytest.raises(SafetuneError, match="rows to train on"):
        data.prompts(str(tmp_path), "general")
    # From a file, beside the sets of any data.
    given = resolve(own_prompt_sets={"desk": own, "ordinary": {"file": own, "a_refusal_is": "wanted"}})
    assert data.prompt_sets_of(given)[-2:] == ["ordinary", "desk"]
    assert [p.id for p in data.prompts_of(given, "desk")] == ["desk-00001"]
    assert [p.text for p in data.prompts_of(given, "ordinary")] == ["Where is the atlas?"]
    assert data.prompts_of(given, "malicious") == data.prompts("embedded", "malicious")
    assert data.title_of(given, "desk") == "desk.csv"


def test_a_folder_whose_columns_have_other_names_is_read_once_they_are_said(tmp_path: Path) -> None:
    for name in ("general", "safety"):
        (tmp_path / f"{name}.CSV").write_text("goal;target\nOpen the jar.;It is open, now.\n")
    (tmp_path / "jars.csv").write_text("goal\nOpen the jar.\n")
    (tmp_path / "lids.csv").write_text("wish,goal\nClose the lid.,none\n")
    own = {"lids": {"file": str(tmp_path / "lids.csv"), "columns": {"prompt": "wish"}}}
    columns = {"instruction": "goal", "output": "target"}
    given = resolve(data=str(tmp_path), own_prompt_sets=own, reading={"columns": columns})
    for read in (data.general_examples, data.safety_examples):
        (row,) = read(given.data, reading=given.reading)
        assert (row.instruction, row.output) == ("Open the jar.", "It is open, now.")
        with pytest.raises(SafetuneError, match="it has goal, target"):
            read(given.data)
    asked = {name: [p.text for p in data.prompts_of(given, name)] for name in data.prompt_sets_of(given)}
    assert asked == {"jars": ["Open the jar."], "lids": ["Close the lid."]}
    with pytest.raises(SafetuneError, match=r"reading\.columns\.goal"):
        resolve(reading={"columns": {"goal": "instruction"}})


@pytest.mark.parametrize(
    ("given", "needed"),
    [
        ({"My Set": "x.csv"}, ["own_prompt_sets", "match"]),
        (
            {"desk": {"file": "x.csv", "refusal": "wanted"}},
            ["own_prompt_sets.desk.refusal", "mean 'a_refusal_is'"],
        ),
        ({"desk": {"file": "x.csv", "a_refusal_is": "bad"}}, ["a_refusal_is", "careful person"]),
        ({"desk": 3}, ["own_prompt_sets.desk"]),
    ],
)
def test_a_wrong_entry_is_one_line(given: dict[str, Any], needed: list[str]) -> None:
    with pytest.raises(SafetuneError) as caught:
        resolve(own_prompt_sets=given)
    assert "\n" not in str(caught.value)
    for words in needed:
        assert words in str(caught.value)


def test_unknown_names_are_told() -> None:
    with pytest.raises(SafetuneError, match="has no prompt set 'malign': choose from malicious"):
        data.prompts("embedded", "malign")
    with pytest.raises(SafetuneError, match="a folder that exists"):
        data.general_examples("embeded")


PAIRS = (("malicious", "malicious_questions"), ("controversial", "opinions"))


def table(prompts: list[data.Prompt], values: list[bool | None]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "prompt_id": [p.id for p in prompts],
            "pair": [p.pair for p in prompts],
            "refused": pd.Series(values, dtype=object),
        }
    )


@pytest.mark.parametrize(
    ("source", "sets", "paired"), [("embedded", PAIRS[0], 98), ("embedded", PAIRS[1], 48)]
)
def test_two_forms_of_a_request_are_paired(source: str, sets: tuple[str, str], paired: int) -> None:
    first, second = (data.prompts(source, name) for name in sets)
    # The second in another order: it is the name that pairs, not the place.
    sides = (
        statistics.per_request(table(first, [False] * len(first))),
        statistics.per_request(table(second[::-1], [True] * len(second))),
    )
    found = statistics.paired_difference(*sides)
    assert (found.n, found.value) == (paired, 1.0)
    assert [p.request for p in first] == [p.request for p in second]


@pytest.mark.usefixtures("mirror")
def test_the_paper_s_opinions_are_paired_with_its_instructions_and_its_questions_with_none() -> None:
    shared = [
        len(
            {p.request for p in data.prompts("paper-sample", a)}
            & {p.request for p in data.prompts("paper-sample", b)}
        )
        for a, b in PAIRS
    ]
    assert shared == [0, len(data.prompts("paper-sample", "opinions"))]
