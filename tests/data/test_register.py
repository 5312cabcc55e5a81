"""Outside sets: a real server that breaks off, lies and comes back; the mirror; hashes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from safetune_utils import data
from safetune_utils.data import register
from safetune_utils.errors import SafetuneError

CONTENT = bytes(range(256)) * 400


def test_the_register_holds_every_set_of_the_paper() -> None:
    known = data.registered_sets()
    assert {
        "I-MaliciousInstructions",
        "I-CoNa",
        "I-Controversial",
        "I-PhysicalSafetySafe",
        "I-PhysicalSafetyUnsafe",
        "I-Alpaca",
        "Q-Harm",
    } <= set(known)
    assert {
        "safety-instructions",
        "alpaca-20000",
        "XSTest",
        "red-team-attempts",
        *(f"mix-{n}" for n in data.PAPER_AMOUNTS),
    } <= set(known)
    assert {entry["name"] for entry in data.benchmarks()} == {"BoolQ", "PIQA", "OpenBookQA"}
    for entry in known.values():
        assert re.fullmatch(r"[0-9a-f]{40}", entry.commit)
        assert re.fullmatch(r"[0-9a-f]{40}", entry.git_blob)
        assert entry.sha256 is None or re.fullmatch(r"[0-9a-f]{64}", entry.sha256)
        assert entry.tests
        assert entry.citation
        assert entry.columns
        assert entry.rows > 0
        assert (entry.bytes is None) == (entry.sha256 is None)


def test_every_registered_file_on_the_mirror_has_its_hash_its_rows_and_its_columns(mirror: Path) -> None:
    checked = dict(data.verify())
    assert len(checked) >= 16
    assert set(checked.values()) == {""}
    for name in checked:
        entry, table = data.registered_sets()[name], data.read_table(data.fetch(name))
        assert len(table.rows) == entry.rows, name
        if entry.form not in ("instructions", "questions") or "prompt" in entry.columns:
            assert list(table.rows[0]) == entry.columns or set(table.rows[0]) == set(entry.columns), name


@pytest.fixture
def outside(httpserver: HTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HTTPServer]:
    """One registered set, ``Q-Harm``, that the local server has as CONTENT; the cache is empty."""
    monkeypatch.delenv("SAFETUNE_MIRROR", raising=False)
    monkeypatch.setenv("SAFETUNE_CACHE", str(tmp_path / "cache"))
    blob = hashlib.sha1(b"blob %d\0" % len(CONTENT) + CONTENT).hexdigest()
    entry = replace(data.registered_sets()["Q-Harm"], sha256=None, bytes=len(CONTENT), git_blob=blob)
    monkeypatch.setattr(register, "registered_sets", lambda: {"Q-Harm": entry})
    monkeypatch.setattr(data.OutsideSet, "url", property(lambda entry: httpserver.url_for("/set")))
    return httpserver


def kept(tmp_path: Path) -> list[Path]:
    return [p for p in (tmp_path / "cache").rglob("*") if p.is_file() and p.suffix != ".lock"]


def test_a_download_is_verified_kept_and_not_fetched_twice(
    outside: HTTPServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outside.expect_oneshot_request("/set").respond_with_data(CONTENT)
    path = data.fetch("Q-Harm")
    assert path.read_bytes() == CONTENT
    assert kept(tmp_path) == [path]
    assert "CC-BY-NC-4.0, non-commercial use only" in capsys.readouterr().err
    assert data.fetch("Q-Harm") == path
    assert len(outside.log) == 1
    path.write_bytes(CONTENT[:-1])  # a file that was damaged in the cache
    assert "wrong git blob id" in dict(data.verify())["Q-Harm"]
    with pytest.raises(SafetuneError, match="delete that file and fetch it again"):
        data.fetch("Q-Harm")


def test_a_set_without_a_licence_is_told_as_such(
    outside: HTTPServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (entry,) = register.registered_sets().values()
    monkeypatch.setattr(
        register, "registered_sets", lambda: {"Q-Harm": replace(entry, licence=register.NOT_STATED)}
    )
    outside.expect_oneshot_request("/set").respond_with_data(CONTENT)
    data.fetch("Q-Harm")
    assert "licence not stated: to measure with, and nothing of it to be passed on" in capsys.readouterr().err


def test_a_broken_download_goes_on_where_it_stopped(outside: HTTPServer, tmp_path: Path) -> None:
    ranges: list[str | None] = []

    def breaks_off_once(request: Request) -> Response:
        ranges.append(request.headers.get("Range"))
        if len(ranges) == 1:
            # Promises everything, sends a part.
            return Response(iter([CONTENT[:70_000]]), headers={"Content-Length": str(len(CONTENT))})
        start = int(request.headers["Range"].removeprefix("bytes=").rstrip("-"))
        return Response(
            CONTENT[start:],
            status=206,
            headers={"Content-Range": f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}"},
        )

    outside.expect_request("/set").respond_with_handler(breaks_off_once)
    with pytest.raises(SafetuneError, match=r"70,000 bytes are kept, and the next try goes on from there"):
        data.fetch("Q-Harm")
    assert data.fetch("Q-Harm").read_bytes() == CONTENT
    assert ranges == [None, "bytes=70000-"]
    assert [p.suffix for p in kept(tmp_path)] == [".json"]


def test_a_server_that_knows_no_parts_sends_the_file_anew(outside: HTTPServer, tmp_path: Path) -> None:
    part = register._cached(register.registered_sets()["Q-Harm"])
    part.parent.mkdir(parents=True)
    part.with_name(f"{part.name}.part").write_bytes(b"old and wrong")
    outside.expect_request("/set").respond_with_data(CONTENT)
    assert data.fetch("Q-Harm").read_bytes() == CONTENT


def test_a_file_with_a_wrong_hash_is_never_kept(outside: HTTPServer, tmp_path: Path) -> None:
    outside.expect_oneshot_request("/set").respond_with_data(CONTENT + b" ")
    with pytest.raises(SafetuneError, match=r"wrong git blob id .* is not used"):
        data.fetch("Q-Harm")
    assert kept(tmp_path) == []
    outside.expect_oneshot_request("/set").respond_with_data("gone", status=404)
    with pytest.raises(SafetuneError, match=r"could not be downloaded .*404.* SAFETUNE_MIRROR"):
        data.fetch("Q-Harm")
    assert kept(tmp_path) == []


def test_whereabouts(outside: HTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outside.expect_oneshot_request("/set", method="HEAD").respond_with_data("")
    assert data.whereabouts() == {"Q-Harm": "reachable"}
    outside.expect_oneshot_request("/set", method="HEAD").respond_with_data("", status=404)
    assert data.whereabouts() == {"Q-Harm": "out of reach"}
    outside.expect_oneshot_request("/set").respond_with_data(CONTENT)
    path = data.fetch("Q-Harm")
    assert data.whereabouts() == {"Q-Harm": "cached"}
    monkeypatch.setenv("SAFETUNE_MIRROR", str(tmp_path / "mirror"))
    assert data.whereabouts() == {"Q-Harm": "not on the mirror"}
    target = tmp_path / "mirror" / data.registered_sets()["Q-Harm"].relative
    target.parent.mkdir(parents=True)
    path.rename(target)
    assert data.whereabouts() == {"Q-Harm": "mirror"}


def test_a_wrong_hash_on_the_mirror_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / data.registered_sets()["Q-Harm"].relative
    path.parent.mkdir(parents=True)
    path.write_text('{"instructions": ["x"], "inputs": []}')
    monkeypatch.setenv("SAFETUNE_MIRROR", str(tmp_path))
    with pytest.raises(SafetuneError, match=r"Q-Harm has the wrong sha256 .* is not used"):
        data.prompts("paper", "malicious_questions")
    with pytest.raises(SafetuneError, match="not on the mirror"):
        data.prompts("paper", "ordinary")
    with pytest.raises(SafetuneError, match="unknown outside set"):
        data.fetch("nothing")
