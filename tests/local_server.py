"""Servers on this machine for the tests: one that misbehaves on request and counts what reaches it, and
`transformers serve`.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import signal
import socket
import subprocess
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from safetune_utils import places
from safetune_utils.machine import stopping
from safetune_utils.services.requests import Request, Service

MARKER = "sk-marker-0123456789"
SOON = {"Retry-After": "0.02"}


def completion(text: Any = "Fine.", finish: str = "stop", **changes: Any) -> bytes:
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text}}
    body = {
        "model": "/srv/weights/tiny-1",
        "choices": [choice],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
    }
    return json.dumps(body | changes).encode()


def refusal(message: str, **more: str) -> bytes:
    return json.dumps({"error": {"message": message} | more}).encode()


class Server(http.server.ThreadingHTTPServer):
    """Does what the first word of the last message says; `counts` holds how often each message arrived."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.counts: Counter[str] = Counter()
        self.keys: set[str | None] = set()
        self.elsewhere = ""  # the address that "moved" messages are sent on to
        self.gate = threading.Event()  # holds back the replies to "held", and "slow" ones for good
        self.lock = threading.Lock()
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is part of the play."""


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *arguments: Any) -> None:
        pass

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["messages"][-1]["content"]
        with self.server.lock:
            self.server.counts[asked] += 1
            self.server.keys.add(self.headers["Authorization"])
            times = self.server.counts[asked]
        status, headers, body, promised = 200, {}, completion(f"Fine: {asked}"), 0
        match asked.split()[0]:
            case "busy-once" if times == 1:
                status, headers, body = 429, SOON, refusal("slow down")
            case "busy":
                status, headers, body = 429, SOON, refusal("slow down")
            case "broke":
                status, headers, body = 429, SOON, refusal("no credit", code="insufficient_quota")
            case "down-twice" if times <= 2:
                status, headers, body = 500, SOON, b"<html>\n oops"
            case "down":
                status, headers, body = 503, SOON, b"<html>\n oops"
            case "down-first" if times == 1:
                status, headers, body = 500, {"x-should-retry": "false"}, b""
            case "slow":
                self.server.gate.wait(20)
            case "held":
                self.server.gate.wait(20)
            case "steady":
                time.sleep(0.05)
            case "cut":
                promised, body = len(body), body[:40]
            case "not-json":
                body = b"<html>hello"
            case "half-json":
                body = body[:40]
            case "no-choices":
                body = b'{"choices": []}'
            case "odd":
                body = b'{"choices": [{"message": {"content": ["a", "b"]}}]}'
            case "list":
                body = b"[1]"
            case "empty":
                body = completion(" ")
            case "null":
                body = completion(None, finish="length")
            case "moved" if self.server.elsewhere:
                there = self.server.elsewhere + self.path.removeprefix("/v1")
                status, headers, body = 307, {"Location": there}, b""
            case "repeat":
                said = f"You sent {self.headers['Authorization']}."
                body = completion(said, finish=said, model=said)
            case "long":
                body = completion("Once upon", finish="length")
            case "uncounted":
                body = completion(usage=None)
            case "dear":
                body = completion(usage={"prompt_tokens": 10, "completion_tokens": 900_000})
            case "filtered":
                status, body = 400, refusal("against the policy", code="content_filter")
            case "400" | "401" | "403" | "404" as code:
                status, body = int(code), refusal(f"no\nway with {self.headers['Authorization']}")
        self.send_response(status)
        for name, value in (
            {"Content-Type": "application/json", "Content-Length": str(promised or len(body))} | headers
        ).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def service(server: Server, **changes: Any) -> Service:
    usual = Service(
        base_url=server.url, model="tiny", usd_per_million_in=1.0, usd_per_million_out=2.0, max_retries=2
    )
    return replace(usual, **changes)


def asking(*texts: str, max_tokens: int = 50) -> list[Request]:
    return [
        Request(
            messages=({"role": "system", "content": "Be kind."}, {"role": "user", "content": text}),
            max_tokens=max_tokens,
        )
        for text in texts
    ]


def wait_until(condition: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def stored() -> list[Path]:
    return sorted((places.store_folder() / "calls").rglob("*.json"))


@contextlib.contextmanager
def transformers_serve(folder: Path, log: Path) -> Iterator[str]:
    """`transformers serve` with the model in this folder. Started beside it, so that the model's name is no
    path.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program = "from transformers.cli.transformers import main; main()"
    words = ["serve", folder.name, "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    command = stopping.python(program, *words)
    with log.open("w") as output:
        process = subprocess.Popen(
            command,
            cwd=folder.parent,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=os.environ | {"HF_HUB_OFFLINE": "1"},
        )
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def is_ready() -> bool:
        assert process.poll() is None, log.read_text()
        with contextlib.suppress(OSError), direct.open(f"http://127.0.0.1:{port}/health", timeout=2):
            return True
        return False

    try:
        wait_until(is_ready, seconds=120)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
