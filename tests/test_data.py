"""Named sets: the embedded corpus, the mirror, a real server, a user's folder."""

from __future__ import annotations

import hashlib
import http.server
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from safetune_utils import data
from safetune_utils.errors import SafetuneError

EMBEDDED = [
    "malicious",
    "malicious_questions",
    "controversial",
    "opinions",
    "physical_safe",
    "physical_unsafe",
    "lookalikes_safe",
    "lookalikes_unsafe",
    "ordinary",
]


@pytest.mark.parametrize("name", EMBEDDED)
def test_embedded_prompt_sets_have_unique_ids_and_texts(name: str) -> None:
    prompts = data.prompts("embedded", name)
    assert len(prompts) >= 40
    assert len({p.id for p in prompts}) == len({p.text for p in prompts}) == len(prompts)
    assert all(p.text.endswith("?") for p in prompts) or name not in ("malicious_questions", "opinions")


def test_the_paper_s_sets_have_the_sizes_of_the_paper(mirror: Path) -> None:
    sizes = {name: len(data.prompts("paper", name)) for name in data.PROMPT_SETS if name != "opinions"}
    assert sizes == {
        "malicious": 100, "malicious_questions": 100, "hateful": 178, "controversial": 40, "physical_unsafe": 100,
        "physical_safe": 100, "lookalikes_unsafe": 200, "lookalikes_safe": 250, "ordinary": 50,
    }  # fmt: skip
    assert len(data.safety_examples("paper-sample")) == 2483
    assert len(data.general_examples("paper-sample")) > 1900
    with pytest.raises(SafetuneError, match="released no prompt set 'opinions'"):
        data.prompts("paper", "opinions")


def test_every_registered_file_on_the_mirror_has_its_hash(mirror: Path) -> None:
    names = [entry.name for entry in data.register().values() if (mirror / entry.relative).is_file()]
    assert len(names) >= 13
    for name in names:
        assert data.fetch(name).is_file()


def test_a_wrong_hash_on_the_mirror_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = data.register()["Q-Harm"]
    path = tmp_path / entry.relative
    path.parent.mkdir(parents=True)
    path.write_text('{"instructions": ["x"], "inputs": []}')
    monkeypatch.setenv("SAFETUNE_MIRROR", str(tmp_path))
    with pytest.raises(SafetuneError, match=r"Q-Harm has the wrong sha256 .* is not used"):
        data.prompts("paper", "malicious_questions")
    with pytest.raises(SafetuneError, match="not on the mirror"):
        data.prompts("paper", "ordinary")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    folder = tmp_path / "served"
    folder.mkdir()
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{httpd.server_address[1]}", folder
        httpd.shutdown()


def test_a_download_is_verified_kept_and_not_fetched_twice(server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address, folder = server
    content = json.dumps({"instructions": ["How?"], "inputs": []}).encode()
    (folder / "set.json").write_bytes(content)
    blob = hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()
    monkeypatch.delenv("SAFETUNE_MIRROR", raising=False)
    monkeypatch.setenv("SAFETUNE_CACHE", str(tmp_path / "cache"))
    real = data.register()["Q-Harm"]
    monkeypatch.setattr(data.OutsideSet, "url", property(lambda entry: f"{address}/set.json"))

    right = replace(real, sha256=None, git_blob=blob)
    monkeypatch.setattr(data, "register", lambda: {"Q-Harm": right})
    path = data.fetch("Q-Harm")
    assert path.read_bytes() == content
    (folder / "set.json").unlink()
    assert data.fetch("Q-Harm") == path

    path.unlink()
    (folder / "set.json").write_bytes(content + b" ")
    with pytest.raises(SafetuneError, match="wrong git blob id"):
        data.fetch("Q-Harm")
    assert not [p for p in (tmp_path / "cache").rglob("*") if p.is_file()]

    (folder / "set.json").unlink()
    with pytest.raises(SafetuneError, match=r"could not be downloaded .* SAFETUNE_MIRROR"):
        data.fetch("Q-Harm")


def test_a_user_s_folder_works(tmp_path: Path) -> None:
    (tmp_path / "general.jsonl").write_text('{"instruction": "Say hi.", "output": "Hi\u2028there."}\n', "utf-8")
    (tmp_path / "safety.json").write_text('[{"instruction": "Do harm.", "question": "How to harm?", "output": "No."}]', "utf-8")
    (tmp_path / "malicious.json").write_text('{"instructions": ["Hurt."], "inputs": [], "tags": ["hate"]}', "utf-8")
    (tmp_path / "ordinary.jsonl").write_text('{"prompt": "Say hi.", "type": "greeting"}\n', "utf-8")
    source = str(tmp_path)
    assert data.general_examples(source)[0].output == "Hi\u2028there."
    assert data.safety_examples(source)[0].question == "How to harm?"
    assert data.prompts(source, "malicious")[0].topic == "hate"
    assert data.prompts(source, "ordinary")[0].kind == "greeting"


@pytest.mark.parametrize(
    ("content", "needed"),
    [
        (b'{"instruction": "a", "output": "b"}\n{"instruction": "", "output": "b"}\n', "row 2: 'instruction' is missing or empty"),
        (b'{"text": "a"}\n', "row 1: 'instruction' is missing"),
        (b'{"instruction": "a", "output": "b"}\n{oops\n', "line 2 is not JSON"),
        (b'{"instruction": "caf\xe9", "output": "b"}\n', "is not UTF-8"),
        (b"\n", "is empty"),
        (b'["a", "b"]\n', "one record per row"),
    ],
)
def test_a_bad_file_is_one_line_with_the_row(tmp_path: Path, content: bytes, needed: str) -> None:
    (tmp_path / "general.jsonl").write_bytes(content)
    with pytest.raises(SafetuneError) as caught:
        data.general_examples(str(tmp_path))
    assert needed in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_names_are_told() -> None:
    with pytest.raises(SafetuneError, match="unknown prompt set 'malign'"):
        data.prompts("embedded", "malign")
    with pytest.raises(SafetuneError, match="a folder that exists"):
        data.general_examples("embeded")
    with pytest.raises(SafetuneError, match="unknown outside set"):
        data.fetch("nothing")
