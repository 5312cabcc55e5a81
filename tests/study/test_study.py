"""A study is data: its grid of adapters, its pools of rows and its prompts."""

from __future__ import annotations

from pathlib import Path

import pytest

from safetune_utils import data, store
from safetune_utils.study.design import state
from safetune_utils.study.study import Run


def test_the_grid_is_every_amount_for_each_seed_by_growing_amount() -> None:
    study = state(prompt_sets=[], safety_amounts=[50, 0, 10], seeds=[3, 1])
    grid = [(run.n_safety, run.seed) for run in study.runs]
    assert grid == [(0, 1), (10, 1), (50, 1), (0, 3), (10, 3), (50, 3)]
    assert Run(10, 3).label == "n10-seed3"


def test_a_mix_has_so_many_rows_as_the_study_says_of_every_kind() -> None:
    study = state(prompt_sets=[], preset="smoke", mixing={"n_contrast": 5})
    assert [study.n_rows(run) for run in study.runs] == [4 + 0 + 5, 4 + 3 + 5]


def test_a_study_asks_the_first_prompts_of_a_set_up_to_its_limit() -> None:
    few, all_of_them = (state(prompt_sets=["malicious"], max_prompts=n) for n in (6, None))
    assert few.prompts("malicious") == data.prompts("embedded", "malicious")[:6]
    assert len(all_of_them.prompts("malicious")) == 98


def test_pools_come_from_their_own_sources_and_contrast_rows_from_the_embedded_corpus_alone(
    tmp_path: Path,
) -> None:
    own = tmp_path / "safety.jsonl"
    store.write_lines(own, [{"instruction": f"Do harm {n}.", "output": "No."} for n in range(60)])
    study = state(prompt_sets=[], preset="smoke", safety_data=str(own))
    assert study.safety_source == str(own)
    assert [row.instruction for row in study.safety] == [f"Do harm {n}." for n in range(60)]
    assert study.general == data.general_examples("embedded")
    assert study.contrast == data.contrast_examples()
    store.write_lines(
        tmp_path / "general.jsonl", [{"instruction": f"Say {n}.", "output": f"{n}"} for n in range(60)]
    )
    elsewhere = state(prompt_sets=[], preset="smoke", data=str(tmp_path))
    assert elsewhere.contrast == []
    assert len(elsewhere.general) == 60


@pytest.mark.usefixtures("mirror")
@pytest.mark.parametrize(
    ("given", "with_questions"),
    [({}, False), ({"safety_format": "mixed"}, True), ({"mixing": {"with_questions": True}}, True)],
)
def test_the_pool_is_of_rows_with_a_question_where_the_format_or_the_mixing_asks_for_them(
    given: dict, with_questions: bool
) -> None:
    study = state(prompt_sets=[], data="paper-sample", safety_amounts=[50], **given)
    assert all(bool(row.question) is with_questions for row in study.safety)
    assert len(study.safety) == (2116 if with_questions else 2483)
