"""The speed page shows what was measured, every side of it, and a side that failed as failed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from html_tables import rows_of

from safetune_utils import places
from safetune_utils.book.generated import speed
from safetune_utils.presets import PRESETS

RESULTS = places.data_folder() / "results"


def test_every_side_that_was_measured_stands_in_its_table() -> None:
    pages = speed.parts()
    for name, titles in (("finetune", speed._FINETUNE), ("generate", speed._GENERATE)):
        found = json.loads((RESULTS / f"{name}_speed.json").read_text("utf-8"))
        assert {row["side"] for row in found["summary"]} == set(titles)
        rows = rows_of(pages[f"speed_{name}"])[1:]
        assert len(rows) == len(titles)
        for row in found["summary"]:
            line = next(
                " ".join(cells)
                for cells in rows
                if titles[row["side"]].replace("`", "") in cells[0]
                and ("error" in row or f"{row['tokens_per_second']['median']:.0f} (" in " ".join(cells))
            )
            assert "error" not in row or row["error"] in line
    assert 'aria-label="Line charts' in pages["speed_growth"]


def test_a_failed_side_is_told_and_a_ratio_is_ours_over_theirs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "results").mkdir()
    spread = {"median": 3.0, "min": 2.0, "max": 4.0}
    measured = {
        "tokens_per_second": spread,
        "ratio_of_ours": spread,
        "ratio_of_ours_side_by_side": spread,
    }
    made = {
        "rows": 8,
        "rounds": [[], []],
        "machine": {"processor": "P", "threads": 2},
        "versions": {"torch": "0"},
        "summary": [
            measured
            | {"side": "ours", "precision": "bf16", "peak_memory_bytes": 2e9, "fraction_of_matmul": 0.5},
            {"side": "trl", "error": "no such module"},
            measured
            | {
                "side": "trainer-fp32",
                "precision": "fp32",
                "peak_memory_bytes": 1e9,
                "fraction_of_matmul": 0.2,
            },
        ],
    }
    (tmp_path / "results" / "finetune_speed.json").write_text(json.dumps(made))
    (tmp_path / "register.yml").touch()
    monkeypatch.setenv("SAFETUNE_DATA", str(tmp_path))
    table = speed.finetune_table()
    assert "did not run: no such module" in table
    _, ours, _, theirs = rows_of(table)
    assert ours[1:] == ["3 (2–4)", "", "", "2.0 GB", "50% of bf16's"]
    assert theirs[1:] == ["3 (2–4)", "3.0 × (2.0–4.0)", "3.0 × (2.0–4.0)", "1.0 GB", "20% of fp32's"]
    assert "Median of 2 rounds" in table


def test_the_page_names_every_preset() -> None:
    page = (RESULTS.parents[1] / "book" / "speed.md").read_text("utf-8")
    assert set(re.findall(r"`(\w+)`", page.split("What has been run")[1])) >= set(PRESETS)


def test_the_profile_stands_by_kind_of_work_also_where_no_plain_product_was_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = json.loads((RESULTS / "step_profile.json").read_text("utf-8"))
    first, second = list(found["profiles"])[:2]
    del found["profiles"][second]["of_the_product_rate"]
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "step_profile.json").write_text(json.dumps(found))
    (tmp_path / "register.yml").touch()
    monkeypatch.setenv("SAFETUNE_DATA", str(tmp_path))
    rows = {cells[0]: cells[1:] for cells in rows_of(speed.profile_table())}
    shares = found["profiles"][first]["shares"]
    assert rows["layers"][0] == f"{100 * shares['layers']:.0f} %"
    assert rows["rate"][0] == f"{100 * found['profiles'][first]['of_the_product_rate']:.0f} %"
    assert rows["rate"][1] == ""


def test_each_kind_of_machine_stands_with_its_time_preset_and_version() -> None:
    runs = json.loads((RESULTS / "machine_times.json").read_text("utf-8"))["runs"]
    _, *rows = rows_of(speed.parts()["speed_machines"])
    assert len(rows) == len(runs) >= 5
    for row, run in zip(rows, runs, strict=True):
        minutes, seconds = divmod(run["seconds"], 60)
        assert row == [
            run["kind"],
            run["processor"],
            run["preset"],
            f"{minutes} min {seconds:02d} s",
            "yes" if run["one_pool"] else "no",
            run["code"],
        ]
