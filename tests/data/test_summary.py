"""What is said of a set without showing a row of it."""

from __future__ import annotations

from pathlib import Path

from safetune_utils import data, places


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
        "name": "corpus/general",
        "where": "embedded",
        "rows": 550,
        "size": "186 kB",
        "licence": "CC-BY-4.0",
        "tests": "to train on: ordinary instructions with answers",
    }
    assert rows["XSTest"]["where"] == "mirror"
    assert rows["mix-100"]["where"] == "not on the mirror"
    assert rows["PIQA"]["where"] == "by lm-eval"
    assert rows["O-Controversial"]["where"] == "not released"
