"""Files that are there whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from safetune_utils.machine.files import replacing, write_text


@pytest.mark.parametrize("before", ["old", None])
def test_a_writer_that_fails_changes_nothing_and_leaves_nothing(tmp_path: Path, before: str | None) -> None:
    path = tmp_path / "file.json"
    if before:
        write_text(path, before)

    def fail() -> None:
        with replacing(path) as partial:
            partial.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert (path.read_text() if path.exists() else None) == before
    assert [left.name for left in tmp_path.iterdir()] == (["file.json"] if before else [])


def test_a_text_that_cannot_be_encoded_leaves_the_file_before(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_text(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "whole, but for \ud800")
    assert path.read_text() == "old"


def test_the_folder_is_made_and_a_link_is_written_through(tmp_path: Path) -> None:
    path, link = tmp_path / "new" / "file", tmp_path / "link"
    write_text(path, "first")
    link.symlink_to(path)
    write_text(link, "second")
    assert path.read_text() == "second"
    assert link.is_symlink()
