"""Names that come from elsewhere stay in their folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from safetune_utils import places, store
from safetune_utils.errors import SafetuneError

HOSTILE = ("../../evil", "/etc/evil", "{{ 1 }}`a`|<b>\n", "..", "", "a" * 500)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_text_is_reduced_to_what_a_file_name_may_hold(text: str, tmp_path: Path) -> None:
    name = places.safe_name(text)
    assert 0 < len(name) <= 80
    assert (tmp_path / name).resolve().parent == tmp_path.resolve()
    assert not set(name) & set("/\\`|<>{}\n ")
    folder = store.stage_folder(stage="mixes", label=text, inputs={}, store=tmp_path)
    assert folder.resolve().parent == (tmp_path / "mixes").resolve()


def test_plain_names_stay_as_they_are() -> None:
    for name in ("embedded-n100-seed0-instruction", "choosing_frontier", "gemma-3.1", "été"):
        assert places.safe_name(name) == name


@pytest.mark.parametrize("name", ["../evil", "/etc/passwd", "a/../../evil"])
def test_a_path_that_leads_out_of_its_folder_is_told(name: str, tmp_path: Path) -> None:
    with pytest.raises(SafetuneError, match="leads out of"):
        places.inside(tmp_path / "here", name)
    assert places.inside(tmp_path, "a/b.csv") == tmp_path / "a" / "b.csv"
