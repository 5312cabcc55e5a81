"""Asking a server: replies in order, stored once; kills, other processes, recorded replies, a real server."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from local_server import Server, asking, service, stored, transformers_serve, wait_until

from safetune_utils import places, store
from safetune_utils.errors import SafetuneError
from safetune_utils.models import embedded
from safetune_utils.services import chat
from safetune_utils.services.requests import Service, key_of


def test_replies_come_in_order_with_their_counts_and_cost_and_are_stored_once(server: Server) -> None:
    texts = [f"question {i}" for i in range(9)]
    requests = asking(*texts, texts[3])
    replies = chat.ask(requests, service=service(server), cap_usd=1)
    assert [reply.text for reply in replies] == [f"Fine: {text}" for text in [*texts, texts[3]]]
    assert [reply.cached for reply in replies] == [False] * 9 + [True]
    assert server.counts == Counter(texts)
    first = replies[0]
    assert (first.prompt_tokens, first.completion_tokens, first.usd, first.usd_estimated) == (
        10,
        5,
        20e-6,
        False,
    )
    assert (first.finish, first.truncated, first.reason, first.served_model) == ("stop", False, "", "tiny-1")
    assert len(stored()) == 9
    kept = json.loads(
        (places.store_folder() / "calls" / first.key[:2] / f"{first.key}.json").read_text("utf-8")
    )
    assert kept["request"]["messages"] == list(requests[0].messages)
    assert (kept["model"], kept["text"], kept["usd"]) == ("tiny", "Fine: question 0", 20e-6)
    assert kept["answered"].endswith("+00:00")
    # No partial file, no lock.
    assert {path.suffix for path in (places.store_folder() / "calls").rglob("*.*")} == {".json"}

    again = chat.ask(requests, service=service(server), cap_usd=0)
    assert again == [replace(reply, cached=True) for reply in replies]
    assert server.counts == Counter(texts)


@pytest.mark.skipif(os.name != "posix", reason="modes of files are POSIX's")
def test_only_the_owner_may_read_what_is_kept(server: Server) -> None:
    calls = places.store_folder() / "calls"
    calls.mkdir(parents=True, mode=0o755)  # as an older version made it
    chat.ask(asking("hello"), service=service(server), cap_usd=1)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (calls, *calls.rglob("*"))}
    assert modes == {0o700, 0o600}


def test_another_seed_length_temperature_model_or_host_is_another_call(server: Server) -> None:
    (request,) = asking("hello")
    others = [replace(request, seed=1), replace(request, max_tokens=51), replace(request, temperature=0.5)]
    keys = {
        reply.key
        for reply in chat.ask(
            [request, replace(request, temperature=0), *others], service=service(server), cap_usd=1
        )
    }
    assert len(keys) == server.counts["hello"] == 4
    chat.ask([request], service=service(server, model="other"), cap_usd=1)
    assert server.counts["hello"] == 5
    elsewhere = replace(service(server), base_url="https://example.org/v1")
    assert chat.estimate_cost([request], service=elsewhere).calls == 1
    # A local port is another at every start.
    assert (
        chat.estimate_cost([request], service=replace(elsewhere, base_url="http://localhost:1/v1")).calls == 0
    )


def test_a_stored_reply_says_which_host_gave_it_and_another_host_is_asked_anew(server: Server) -> None:
    (reply,) = chat.ask(asking("hello"), service=service(server), cap_usd=1)
    assert reply.host == json.loads(stored()[0].read_text())["host"] == "loopback"
    # As in a store that was copied from elsewhere, and one of before the host was noted.
    for host, asked in (("api.example.org", 2), ("", 2)):
        row = json.loads(stored()[0].read_text()) | {"host": host}
        del row["itself"]
        stored()[0].write_text(json.dumps(row if host else {k: v for k, v in row.items() if k != "host"}))
        (again,) = chat.ask(asking("hello"), service=service(server), cap_usd=1)
        assert (again.text, server.counts["hello"]) == (reply.text, asked)
    hosts = {
        "https://api.example.org/v1": "api.example.org",
        "https://api.example.org:443/v1": "api.example.org",
        "http://10.0.0.7:8000/v1": "10.0.0.7:8000",
        "http://10.0.0.7:8001/v1": "10.0.0.7:8001",
        "http://localhost:8000/v1": "loopback",
        "http://[::1]:8001/v1": "loopback",
    }
    named = {address: replace(service(server), base_url=address).host for address in hosts}
    assert named == hosts
    (request,) = asking("hello")
    keys = {key_of(request, replace(service(server), base_url=address)) for address in hosts}
    assert len(keys) == len(set(hosts.values())) == 4


def test_a_damaged_changed_or_swapped_reply_is_told_and_asked_for_again_within_the_cap(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    (reply,) = chat.ask(asking("hello"), service=service(server), cap_usd=1)
    chat.ask(asking("bye"), service=service(server), cap_usd=1)
    (path,) = (file for file in stored() if file.stem == reply.key)
    (other,) = (file for file in stored() if file.stem != reply.key)
    whole = path.read_text("utf-8")
    damages = ("{", "[]", '{"key": "a", "text": 3}', '{"usd": ' + "9" * 5000 + "}")
    forged = whole.replace(f'"text": "{reply.text}"', '"text": "another"')
    assert forged != whole
    for n, damage in enumerate([*damages, forged, other.read_text("utf-8")], start=2):
        path.write_text(damage, "utf-8")
        capsys.readouterr()
        (again,) = chat.ask(asking("hello"), service=service(server), cap_usd=1)
        assert (again.text, again.cached) == (reply.text, False)
        assert server.counts["hello"] == n
        told = "a stored reply is not as it was written: it is asked for again, and kept as "
        assert capsys.readouterr().err == f"{told}{path.with_suffix('.damaged')}\n"
        assert path.with_suffix(".damaged").read_text("utf-8") == damage
    path.write_text("{", "utf-8")
    with pytest.raises(SafetuneError, match="above the cap"):
        chat.ask(asking("hello"), service=replace(service(server), usd_per_million_out=1e6), cap_usd=1e-6)
    # A reply of before, without a hash of itself, is read as it is.
    old = {name: value for name, value in json.loads(whole).items() if name != "itself"}
    path.write_text(json.dumps(old), "utf-8")
    (before,) = chat.ask(asking("hello"), service=service(server), cap_usd=1)
    assert (before.text, before.cached) == (reply.text, True)


def test_a_reply_is_in_the_store_whole_or_not_at_all(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full_disk)
        with pytest.raises(OSError, match="No space left"):
            chat.ask(asking("hello"), service=service(server), cap_usd=1)
    assert stored() == []
    assert chat.ask(asking("hello"), service=service(server), cap_usd=1)[0].text


ASK = """
import json, signal, sys, time
from pathlib import Path
import openai  # slow to import, so before the start
from safetune_utils.services import chat
from safetune_utils.services.requests import Request, Service
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs start with it ignored
url, ready, go, *texts = sys.argv[1:]
prices = {"usd_per_million_in": 1.0, "usd_per_million_out": 2.0}
service = Service(base_url=url, model="tiny", max_retries=2, concurrency=2, **prices)
told = {"role": "system", "content": "Be kind."}
requests = [Request(messages=(told, {"role": "user", "content": text}), max_tokens=50) for text in texts]
Path(ready).touch()
while not Path(go).exists():
    time.sleep(0.01)
print(json.dumps([reply.text for reply in chat.ask(requests, service=service, cap_usd=1)]))
"""


@contextlib.contextmanager
def other_process(
    server: Server, folder: Path, texts: list[str], name: str = "one"
) -> Iterator[subprocess.Popen[str]]:
    """A process that asks these texts, two at once, as soon as the file `go` is there."""
    command = [sys.executable, "-c", ASK, server.url, str(folder / name), str(folder / "go"), *texts]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_after_a_kill_nothing_that_arrived_is_asked_again(server: Server, tmp_path: Path) -> None:
    done, held, rest = [f"good {i}" for i in range(5)], ["held 0", "held 1"], ["good 8", "good 9"]
    (tmp_path / "go").touch()
    with other_process(server, tmp_path, done + held + rest) as process:
        wait_until(
            lambda: len(stored()) == len(done) and sum(server.counts[text] for text in held) == len(held)
        )
        process.kill()
        process.wait()
    server.gate.set()
    replies = chat.ask(asking(*done, *held, *rest), service=service(server), cap_usd=1)
    assert [reply.text for reply in replies] == [f"Fine: {text}" for text in done + held + rest]
    assert [reply.cached for reply in replies] == [True] * len(done) + [False] * len(held + rest)
    # Only what was under way was lost.
    assert server.counts == dict.fromkeys(done, 1) | dict.fromkeys(held, 2) | dict.fromkeys(rest, 1)


def test_ctrl_c_keeps_even_what_was_under_way(server: Server, tmp_path: Path) -> None:
    done, held, rest = ["good 0", "good 1"], ["held 0", "held 1"], [f"steady {i}" for i in range(40)]
    (tmp_path / "go").touch()
    with other_process(server, tmp_path, done + held + rest) as process:
        wait_until(
            lambda: len(stored()) == len(done) and sum(server.counts[text] for text in held) == len(held)
        )
        process.send_signal(signal.SIGINT)
        # Any order gives the counts below; this makes the likely one that the signal is handled first.
        time.sleep(0.2)
        server.gate.set()
        error = process.communicate(timeout=30)[1]
    assert process.returncode != 0
    assert error.strip().endswith("KeyboardInterrupt")
    assert not any(server.counts[text] for text in rest[20:])
    assert all(
        reply.text for reply in chat.ask(asking(*done, *held, *rest), service=service(server), cap_usd=1)
    )
    assert server.counts == dict.fromkeys(done + held + rest, 1)


def test_two_processes_at_once_pay_once(server: Server, tmp_path: Path) -> None:
    texts = [f"steady {i}" for i in range(12)]
    with (
        other_process(server, tmp_path, texts, "one") as one,
        other_process(server, tmp_path, texts, "two") as two,
    ):
        wait_until(lambda: (tmp_path / "one").exists() and (tmp_path / "two").exists())
        (tmp_path / "go").touch()
        for process in (one, two):
            output, error = process.communicate(timeout=30)
            assert process.returncode == 0, error
            assert json.loads(output) == [f"Fine: {text}" for text in texts]
    assert server.counts == dict.fromkeys(texts, 1)


def test_recorded_replies_are_replayed_without_key_or_network(server: Server, tmp_path: Path) -> None:
    where = service(server, model=str(tmp_path / "tiny"))
    requests = asking("b", "a", "empty", "a")
    live = chat.ask(requests, service=where, cap_usd=1)
    path = tmp_path / "recorded.jsonl"
    chat.record(requests, service=where, path=path)
    assert [row["request"]["messages"][-1]["content"] for row in store.read_lines(path)] == [
        "b",
        "a",
        "empty",
    ]
    assert not any(local in path.read_text("utf-8") for local in ("127.0.0.1", str(tmp_path), "/srv"))
    before = server.counts.copy()
    assert chat.replay(requests, path=path) == [replace(reply, cached=True) for reply in live]
    with pytest.raises(
        SafetuneError, match=r"2 of 3 requests are not among the recorded replies in .*: ask live"
    ):
        chat.replay(asking("a", "c", "d", "d"), path=path)
    assert server.counts == before


def test_a_bad_recording_is_told(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "recorded.jsonl"
    with pytest.raises(SafetuneError, match="1 of 1 requests have no reply in the store: ask them first"):
        chat.record(asking("a"), service=service(server), path=path)
    with pytest.raises(SafetuneError, match="no recorded replies at"):
        chat.replay(asking("a"), path=path)
    chat.ask(asking("a"), service=service(server), cap_usd=1)
    chat.record(asking("a"), service=service(server), path=path)
    path.write_text(path.read_text("utf-8") * 2, "utf-8")
    with pytest.raises(SafetuneError, match="more than once"):
        chat.replay(asking("a"), path=path)
    for bad in ("{oops\n", '{"a": 1}\n', "[]\n"):
        path.write_text(bad, "utf-8")
        with pytest.raises(SafetuneError, match="is not a file of recorded replies"):
            chat.replay(asking("a"), path=path)


@pytest.mark.slow
def test_a_real_server_answers_and_its_replies_outlive_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    folder = embedded.embedded_folder()
    requests = asking("Name one primary colour.", "How do I boil an egg?", max_tokens=12)
    with transformers_serve(folder, tmp_path / "log") as url:
        where = Service(base_url=url, model=folder.name, timeout_s=120, concurrency=2)
        replies = chat.ask(requests, service=where, cap_usd=0)
        with pytest.raises(SafetuneError, match="refuses with 400"):
            chat.ask(requests, service=replace(where, model="another"), cap_usd=0)
    for request, reply in zip(requests, replies, strict=True):
        assert reply.text, reply.reason
        assert reply.served_model.startswith(folder.name)
        assert reply.prompt_tokens > 0
        assert 0 < reply.completion_tokens <= 12
        assert (
            reply.prompt_tokens
            <= chat.estimate_cost([request], service=replace(where, model="new")).prompt_tokens
        )
    assert chat.ask(requests, service=where, cap_usd=0) == [replace(reply, cached=True) for reply in replies]
    (gone,) = chat.ask(asking("Another?"), service=replace(where, max_retries=0), cap_usd=0)
    assert gone.reason == "the server could not be reached after 1 try"
