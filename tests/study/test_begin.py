"""Whether what is left of a study can be done here is told before a model is loaded."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path
from typing import Any

import architectures
import pytest
from local_hub import NAME, Hub
from local_server import Server

from safetune_utils.errors import SafetuneError
from safetune_utils.estimate import room
from safetune_utils.scoring import judge
from safetune_utils.services import http
from safetune_utils.services.requests import Service
from safetune_utils.study import base as base_of_study
from safetune_utils.study import begin
from safetune_utils.study.design import state
from safetune_utils.study.run import run
from safetune_utils.study.study import Study

Usage = namedtuple("Usage", "total used free")


def smoke(*instruments: str, **parameters: Any) -> Study:
    wanted = list(instruments) or ["refusal-rules"]
    return state(prompt_sets=["malicious"], preset="smoke", instruments=wanted, **parameters)


@pytest.fixture
def no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing to look at a model with."""
    monkeypatch.setattr(base_of_study, "check", None)


@pytest.fixture
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPEN_AI_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("no_model", "no_key")
@pytest.mark.parametrize(
    ("instrument", "told"),
    [
        ("moderation", "there is no key for api.openai.com: put it into the environment variable"),
        ("judge-harm", "a study asks no server, so a judge in it replays recorded replies"),
    ],
)
def test_what_an_instrument_lacks_is_told_before_training(instrument: str, told: str) -> None:
    with pytest.raises(SafetuneError, match=told):
        run(smoke("refusal-rules", instrument))


@pytest.mark.usefixtures("no_key")
def test_where_nothing_is_left_nothing_is_needed(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(smoke(base_model=str(base)))
    monkeypatch.setattr(base_of_study, "check", None)
    monkeypatch.setattr(room, "memory_bytes", lambda: 1)
    # Its responses are there, so no adapter is trained in vain if the service cannot be asked.
    begin.check([smoke("refusal-rules", "moderation", base_model=str(base))])
    begin.check([smoke(base_model=str(base))])


@pytest.mark.usefixtures("no_model")
def test_a_store_that_cannot_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("SAFETUNE_STORE", str(tmp_path / "file"))
    with pytest.raises(SafetuneError, match="file: File exists: set SAFETUNE_STORE to a folder"):
        begin.check([smoke()])


def test_too_little_memory_is_told_with_what_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base_of_study, "check", lambda _: None)
    study = smoke(recipe={"micro_batch_tokens": 8192, "batch_size": 64})
    monkeypatch.setattr(room, "memory_bytes", lambda: 4 * 10**9)
    with pytest.raises(SafetuneError) as caught:
        begin.check([study])
    said = str(caught.value)
    assert said.startswith("training would take about")
    assert 'this machine has 3.8 GB to use: try -p recipe \'{"micro_batch_tokens": ' in said
    fitting = json.loads(said.rpartition("'{")[2].join(["{", ""]).rstrip("'"))
    less = study.settings.recipe.model_dump() | fitting
    room.check_room(
        smoke(recipe=less).settings, prompt_sets={"malicious": 4}, store=Path("/")
    )  # as it was advised


def test_a_disk_that_is_nearly_full_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base_of_study, "check", lambda _: None)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**12, 0, 10**6))
    with pytest.raises(
        SafetuneError, match=r"writes about 1?\d\d MB into .*, where 1\.0 MB are free: make room"
    ):
        begin.check([smoke()])


def test_a_server_is_reached_without_a_key_being_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server()
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    http.check_reachable(Service(base_url=server.url, model="m"))
    assert not server.keys
    server.shutdown()
    server.server_close()
    with pytest.raises(SafetuneError, match=r"the server at http://127\.0\.0\.1:\d+/v1 cannot be reached"):
        http.check_reachable(Service(base_url=server.url, model="m"))


def test_recorded_replies_about_a_prompt_are_found() -> None:
    row = json.loads((judge.recorded_file().parent / "judge_items.jsonl").read_text().splitlines()[0])
    judge.check_recorded(["nothing", row["prompt"]])
    with pytest.raises(SafetuneError, match="are about other prompts: leave the judge out of instruments"):
        judge.check_recorded(["nothing like it was ever asked"])


CHECK = """
import json, os, sys
os.environ["HF_HUB_ETAG_TIMEOUT"] = "2"
from safetune_utils.errors import SafetuneError
from safetune_utils.scoring import reward_model
try:
    reward_model.check_at_hand(sys.argv[1])
    print(json.dumps(""))
except SafetuneError as error:
    print(json.dumps(str(error)))
"""


@pytest.mark.slow
def test_a_reward_model_whose_weights_cannot_be_had_is_told(tmp_path: Path) -> None:
    folder = architectures.save(architectures.tiny("llama"), tmp_path / "tiny")
    hub, home = Hub([folder]), tmp_path / "home"
    assert hub.ask(CHECK, home=home) == ""
    (folder / "model.safetensors").unlink()
    assert hub.ask(CHECK, home=home) == f"reward model '{NAME}' has no weights: give a trained one"
    hub.shutdown()
    hub.server_close()
    assert hub.ask(CHECK, home=home).startswith(
        f"the weights of reward model '{NAME}' are not on this machine"
    )


@pytest.mark.slow
def test_the_embedded_model_s_check_is_kept_and_a_second_imports_no_library_of_models(tmp_path: Path) -> None:
    """In processes of their own, with a cache of their own."""
    program = """
import sys
from safetune_utils.study import begin
from safetune_utils.study.design import state

decoding = {"max_new_tokens": int(sys.argv[1])}
try:
    begin.check([state(prompt_sets=["ordinary"], preset="smoke", decoding=decoding)])
except Exception as error:
    print(error)
print("torch" in sys.modules)
"""
    kept = {"SAFETUNE_CACHE": f"{tmp_path}/cache", "SAFETUNE_STORE": f"{tmp_path}/store"}

    def imports_torch(max_new_tokens: int) -> list[str]:
        words = [sys.executable, "-c", program, str(max_new_tokens)]
        answer = subprocess.run(words, capture_output=True, text=True, env=os.environ | kept, check=True)
        return answer.stdout.split("\n")[:-1]

    assert imports_torch(4) == ["True"]
    assert imports_torch(4) == ["False"]
    # What was not looked at is looked at.
    told, imported = imports_torch(8190)
    assert "reads at most 8192 together: lower max_new_tokens" in told
    assert imported == "True"
