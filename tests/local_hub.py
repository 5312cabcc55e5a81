"""A Hugging Face hub on this machine, with one model whose main branch can move."""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

NAME = "made-here/tiny"


class Hub(http.server.ThreadingHTTPServer):
    """Serves the files of folders, each a commit; ``main`` is the name of the one that is the main branch.

    Where it is ``gated``, nobody has been given access to the model yet.
    """

    def __init__(self, folders: list[Path], *, gated: bool = False) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.gated = gated
        self.commits = {hashlib.sha1(folder.name.encode()).hexdigest(): folder for folder in folders}
        self.main = next(iter(self.commits))
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def ask(self, script: str, *words: str, home: Path) -> Any:
        """What a Python script prints last, as JSON, in a process that knows this hub alone and has read
        nothing of it yet. Its arguments are the model's name, the hub's address and the given words.
        """
        done = subprocess.run(
            [sys.executable, "-c", script, NAME, self.url, *words],
            env=os.environ | {"HF_ENDPOINT": self.url, "HF_HOME": str(home)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return json.loads(done.stdout.splitlines()[-1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        if self.path == "/move-main":
            self.server.main = next(name for name in self.server.commits if name != self.server.main)
            self._send(b"", {})
        else:
            self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        if self.server.gated:
            self._refuse(401, self.server.main, code="GatedRepo")
            return
        asked = re.fullmatch(rf"/{NAME}/resolve/([^/]+)/([^/?]+)", self.path)
        commit = self.server.main if asked and asked[1] == "main" else asked[1] if asked else ""
        folder = self.server.commits.get(commit)
        if folder is None or asked is None or not (path := folder / asked[2]).is_file():
            self._refuse(404, commit or self.server.main, code="EntryNotFound")
            return
        content = path.read_bytes()
        about = {"X-Repo-Commit": commit, "ETag": f'"{hashlib.sha256(content).hexdigest()}"'}
        self._send(content, about, with_body=with_body)

    def _refuse(self, status: int, commit: str, *, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header(
            "X-Error-Message",
            f"Access to model {NAME} is restricted. You must have access to it. Please log in.",
        )
        self.send_header("X-Repo-Commit", commit)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send(self, content: bytes, headers: dict[str, str], *, with_body: bool = True) -> None:
        self.send_response(200)
        for name, value in (headers | {"Content-Length": str(len(content))}).items():
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Nothing on standard error."""
