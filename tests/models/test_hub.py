"""Adapters on the Hugging Face hub, against servers on this machine."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from local_hub import NAME, Hub
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from safetune_utils import store
from safetune_utils.errors import SafetuneError
from safetune_utils.machine.hub import hub_answers
from safetune_utils.models import hub

FACTS = {
    "rows": 24, "n_safety": 4, "data": "embedded", "base_model": "SmolLM2-135M-Instruct", "steps": 6,
    "best_step": 3, "best_validation_loss": 1.5,
}  # fmt: skip
INPUTS = {"recipe": {"epochs": 1}, "seed": 0, "base_model": "gguf:abc", "arithmetic": "cpu-bf16"}


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    """A stage of the store that is an adapter by its files' names."""

    def make(folder: Path) -> dict:
        (folder / "adapter_config.json").write_text("{}")
        (folder / "adapter_model.safetensors").write_bytes(b"weights")
        return FACTS

    return store.produce(stage="adapters", label="a", inputs=INPUTS, make=make)


def test_what_is_an_id_and_what_is_a_path() -> None:
    assert all(map(hub.is_id, ("org/name", "org/na.me@v1", "o/n@refs/pr/1")))
    assert not any(map(hub.is_id, ("name", "/tmp/name", "./org/name", "a/b/c", "../name", "org/name@")))


def safetune(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "safetune_utils", *words]
    return subprocess.run(command, env=os.environ | variables, capture_output=True, text=True)


def test_an_adapter_is_pushed_with_a_card_of_its_record(
    adapter: Path, tmp_path: Path, httpserver: HTTPServer
) -> None:
    scores = tmp_path / "scores.jsonl"
    scores.write_text("".join(json.dumps({"value": float(n < 6)}) + "\n" for n in range(8)))
    commits = []

    def commit(request: Request) -> Response:
        commits.append([json.loads(line) for line in request.get_data().splitlines()])
        at = {"commitUrl": f"{httpserver.url_for('')}org/mine/commit/{'a' * 40}", "commitOid": "a" * 40}
        return Response(json.dumps(at), content_type="application/json")

    def preupload(request: Request) -> Response:
        files = [
            {"path": one["path"], "uploadMode": "regular", "shouldIgnore": False}
            for one in request.get_json()["files"]
        ]
        return Response(json.dumps({"files": files}), content_type="application/json")

    about = {"url": httpserver.url_for("/org/mine"), "id": "org/mine"}
    httpserver.expect_request("/api/repos/create", method="POST").respond_with_json(about)
    httpserver.expect_request("/api/validate-yaml", method="POST").respond_with_json({})
    httpserver.expect_request("/api/models/org/mine/preupload/main").respond_with_handler(preupload)
    httpserver.expect_request("/api/models/org/mine/commit/main").respond_with_handler(commit)
    told = ["--scores", f"refusals of my prompts={scores}"]
    at = {"HF_ENDPOINT": httpserver.url_for("").rstrip("/"), "HF_TOKEN": "hf_aaaaaaaaaaaaaaaaaaaa"}
    done = safetune("push", str(adapter), "org/mine", *told, **at)
    assert done.returncode == 0, done.stderr
    assert "org/mine" in done.stdout
    (lines,) = commits
    pushed = {
        line["value"]["path"]: base64.b64decode(line["value"]["content"])
        for line in lines
        if line["key"] == "file"
    }
    assert set(pushed) == {"README.md", "adapter_config.json", "adapter_model.safetensors"}
    assert pushed["adapter_model.safetensors"] == b"weights"
    card = pushed["README.md"].decode()
    head = yaml.safe_load(card.split("---")[1])
    assert head["base_model"] == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert (head["library_name"], head["license"]) == ("peft", "cc-by-4.0")
    for part in ("20 other and 4 safety rows", '"epochs": 1', "refusals of my prompts: 75 %", "n = 8"):
        assert part in card
    assert safetune("push", str(adapter), "org/mine", "--card-only", *told).stdout.strip() == card.strip()


def test_a_push_that_cannot_be_is_one_line(adapter: Path, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/api/repos/create", method="POST").respond_with_data(status=401)
    refused = safetune("push", str(adapter), "org/mine", HF_ENDPOINT=httpserver.url_for("").rstrip("/"))
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "'org/mine' could not be pushed" in refused.stderr
    away = safetune("push", str(adapter), "org/mine", HF_ENDPOINT="http://127.0.0.1:9")
    assert away.stderr == (
        "safetune: 'org/mine' could not be pushed, for the hub cannot be reached: check the network\n"
    )
    assert "write org/name" in safetune("push", str(adapter), "mine").stderr


@pytest.mark.slow  # the hub's client tries again for some time
@pytest.mark.parametrize("status", [429, 500])
def test_a_hub_that_answers_and_gives_nothing_is_not_said_to_be_out_of_reach(
    status: int, tmp_path: Path, httpserver: HTTPServer
) -> None:
    httpserver.expect_request(re.compile(".*")).respond_with_data("", status=status)
    script = """
from safetune_utils.errors import SafetuneError
from safetune_utils.models.identity import identity
try:
    identity("org/model")
except SafetuneError as error:
    print(error)
"""
    at = {"HF_ENDPOINT": httpserver.url_for("").rstrip("/"), "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "0"}
    said = subprocess.run(
        [sys.executable, "-c", script], env=os.environ | at, capture_output=True, text=True
    ).stdout
    assert said.startswith(
        f"model 'org/model' is not on this machine, and the hub answers with status {status}:"
    )


def test_an_adapter_is_fetched_by_its_id_and_revision(adapter: Path, tmp_path: Path) -> None:
    script = """
import json, sys
from safetune_utils.errors import SafetuneError
from safetune_utils.models import hub

try:
    folder = hub.fetch_adapter(sys.argv[1] + sys.argv[3])
    print(json.dumps(sorted(path.name for path in folder.iterdir())))
except SafetuneError as error:
    print(json.dumps(str(error)))
"""
    local = Hub([adapter])
    found = local.ask(script, "", home=tmp_path / "one")
    unknown = local.ask(script, "@nowhere", home=tmp_path / "two")
    local.shutdown()
    assert f"adapter '{NAME}@nowhere' cannot be reached" in unknown
    assert found == ["adapter_config.json", "adapter_model.safetensors"]


def test_where_nothing_answers_a_file_is_asked_for_once_and_the_line_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def again(_: float) -> None:
        raise AssertionError("the hub's client tries again")

    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("time.sleep", again)
    hub_answers.cache_clear()
    with pytest.raises(SafetuneError, match="the hub cannot be reached"):
        hub.fetch_adapter("org/none@v1")
    hub_answers.cache_clear()
