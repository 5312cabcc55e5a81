"""The weights that ship: each is listed with its sources and terms, wherever a person meets it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from email import message_from_string
from pathlib import Path

import pytest
from command_line import safetune
from html_tables import parsed

from safetune_utils import data
from safetune_utils.book.generated import instruments as cards
from safetune_utils.places import data_folder
from safetune_utils.scoring import harmfulness_training, instruments

ROOT = data_folder().parent
LISTED = data.shipped_weights()
# The endings under which weights are usually kept.
ENDINGS = {
    ".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".gguf", ".ggml", ".onnx", ".npy", ".npz", ".h5", ".pkl",
    ".pickle", ".joblib", ".msgpack", ".tflite",
}  # fmt: skip


def test_every_file_of_weights_is_listed_and_nothing_else() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    shipped = {name for name in tracked.stdout.splitlines() if Path(name).suffix.lower() in ENDINGS}
    assert shipped == {f"data/weights/{name}" for name in LISTED}
    used = {one.weights for one in instruments.INSTRUMENTS.values() if one.weights}
    assert used == set(LISTED)


@pytest.mark.parametrize("name", LISTED)
def test_the_terms_follow_from_what_it_learned_from(name: str) -> None:
    entry = LISTED[name]
    assert entry.licences
    assert not [licence for licence in entry.licences.values() if licence in ("", "not stated")]
    # Not freer than the least free of its sources.
    assert entry.non_commercial == any("-NC" in licence for licence in entry.licences.values())
    assert entry.terms in entry.licences.values()


def test_the_sources_are_those_that_the_training_reads(monkeypatch: pytest.MonkeyPatch, mirror: Path) -> None:
    fetched: list[str] = []
    for module in (data.human_labels, data.paper):
        real = module.fetch
        monkeypatch.setattr(module, "fetch", lambda name, real=real: fetched.append(name) or real(name))
    data.xstest_completions()
    data.own_responses()
    assert [*fetched, "embedded"] == list(LISTED["refusal/weights.safetensors"].learned_from)
    fetched.clear()
    harmfulness_training.labelled_sets()
    harmfulness_training.benign_rows()
    assert [*fetched, "embedded"] == list(LISTED["harmfulness/weights.safetensors"].learned_from)


@pytest.mark.parametrize("name", LISTED)
def test_the_readme_beside_it_and_the_data_licence_say_the_same(name: str) -> None:
    entry = LISTED[name]
    (row,) = [
        line
        for line in (ROOT / "data" / "weights" / "README.md").read_text("utf-8").splitlines()
        if f"| `{name}` |" in line
    ]
    for part in (*entry.learned_from, *entry.licences.values(), entry.terms, entry.form, entry.says):
        assert part in row
    assert ("not for commercial use" in row) is entry.non_commercial
    licence = (ROOT / "DATA_LICENSE").read_text("utf-8").replace("\n", " ")
    (said,) = re.findall(rf"data/weights/{re.escape(name)} (CC BY(?:-NC)? 4\.0)", licence)
    assert said.replace(" ", "-") == entry.terms


def test_its_card_says_so() -> None:
    page = parsed(cards.cards())
    for name, instrument in instruments.INSTRUMENTS.items():
        (head,) = [head for head in page.select("dt") if head.get_text() == name]
        text = head.find_next("dd").get_text()
        if instrument.weights:
            assert f"Its weights: {LISTED[instrument.weights].told}" in text
        else:
            assert "Its weights" not in text


def test_the_wheel_s_metadata_says_so(tmp_path: Path) -> None:
    kept = ["pyproject.toml", "README.md", "LICENSE", "DATA_LICENSE", "data/weights/README.md"]
    for name in kept:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    for name in ("safetune_utils", "made"):
        (tmp_path / name).mkdir()
    (tmp_path / "safetune_utils" / "__init__.py").touch()
    made = subprocess.run(
        [
            sys.executable, "-c",
            "from hatchling.build import prepare_metadata_for_build_wheel as prepare; "
            "print(prepare('made'))",
        ],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    folder = tmp_path / "made" / made.stdout.splitlines()[-1]
    metadata = message_from_string((folder / "METADATA").read_text("utf-8"))
    assert metadata["License-Expression"] == "MIT"
    assert set(metadata.get_all("License-File") or []) == {
        "LICENSE",
        "DATA_LICENSE",
        "data/weights/README.md",
    }
    for name, entry in LISTED.items():
        # The description is the project's README, which an index of packages shows.
        description = re.sub(r"\s+", " ", str(metadata.get_payload()))
        assert re.search(rf"`data/weights/{re.escape(name)}` \|[^|]*\| {entry.terms}", description)


def test_a_command_that_prints_its_scores_says_so_first(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text(json.dumps({"prompt": "a", "response": "I can't help with that."}) + "\n")
    for scorer, told in (
        ("refusal", f"refusal: its weights {LISTED['refusal/weights.safetensors'].told}\n"),
        ("refusal-rules", ""),
    ):
        for more in (["--output", str(tmp_path / "scores.jsonl")], ["--explain", "1"]):
            answer = safetune("score", "--input", str(rows), "--scorer", scorer, *more)
            assert answer.returncode == 0, answer.stderr
            assert answer.stderr == told
            assert answer.stdout
    assert instruments.terms("harmfulness").endswith("CC-BY-NC-4.0, so not for commercial use")


def test_a_data_folder_that_lists_no_weights_has_no_terms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(ROOT / "data" / "register.yml", tmp_path)
    monkeypatch.setenv("SAFETUNE_DATA", str(tmp_path))
    assert instruments.terms("refusal") == ""
