"""Record the replies that notebook 09 replays: drafted answers and instruction forms, from models of this
machine.

    python benchmarks/record_drafts.py

Answers come from the embedded model after chapter 1's tuning (the largest pocket amount, seed 0; trained here
if it is not in the run store), behind a chat template that is the Alpaca form and has no place for a system
prompt. Instruction forms come from the embedded model untouched. Both are served by ``transformers serve`` on
loopback and asked through :mod:`safetune_utils.services.chat`, as any server would be. Writes
``data/recorded/drafting_*.jsonl``.
"""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from safetune_utils.annotation import drafting
from safetune_utils.annotation.drafting import resolve_drafting
from safetune_utils.machine import stopping
from safetune_utils.models.adapters import load_adapter
from safetune_utils.models.base_model import load_base
from safetune_utils.models.template import TEMPLATE
from safetune_utils.services import chat
from safetune_utils.services.requests import Service
from safetune_utils.study import stages
from safetune_utils.study.design import state

# The shown turns and the question in the Alpaca form, one after another.
_HEAD, _BLOCK = TEMPLATE.split("### Instruction:")
_CHAT_TEMPLATE = (
    _HEAD
    + "{% for m in messages %}{% if m['role'] == 'user' %}"
    + ("### Instruction:" + _BLOCK).replace("{instruction}", "{{ m['content'] }}")
    + "{% elif m['role'] == 'assistant' %}{{ m['content'] }}{{ eos_token }}\n\n{% endif %}{% endfor %}"
)


def main() -> None:
    settings = resolve_drafting()
    asked = drafting.questions(settings.questions, settings.n_questions)
    responses = drafting.answer_requests(
        asked, max_tokens=settings.max_tokens, temperature=settings.temperature
    )
    with tempfile.TemporaryDirectory() as folder:
        _save_tuned(tuned := Path(folder) / "smollm2-135m-safety-tuned")
        _save(untouched := Path(folder) / "smollm2-135m-instruct", *load_base("embedded"))
        drafting.recorded_folder().mkdir(exist_ok=True)
        for name, model, requests in (
            ("answers", tuned, responses),
            ("instructions", untouched, drafting.instruction_requests(asked)),
        ):
            with served(model) as address:
                service = Service(base_url=address, model=str(model), concurrency=1, timeout_s=300)
                chat.ask(requests, service=service, cap_usd=0, store=Path(folder), progress=name)
                chat.record(
                    requests,
                    service=service,
                    store=Path(folder),
                    path=drafting.recorded_folder() / f"drafting_{name}.jsonl",
                )


def _save_tuned(target: Path) -> None:
    study = state(prompt_sets=[], safety_amounts=[200])
    model, tokenizer = load_base("embedded")
    tokenizer.chat_template = _CHAT_TEMPLATE
    _save(target, load_adapter(model, stages.adapter_folder(study, study.runs[0])), tokenizer)


def _save(target: Path, model: Any, tokenizer: Any) -> None:
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)


@contextmanager
def served(model: Path) -> Iterator[str]:
    """The address of a server with this model, up for as long as the block runs."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program = "from transformers.cli.transformers import main; main()"
    command = stopping.python(program, "serve", str(model), "--host", "127.0.0.1", "--port", str(port))
    process = subprocess.Popen(
        command,
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(120):
            time.sleep(1)
            try:
                if httpx.get(f"http://127.0.0.1:{port}/health", trust_env=False).is_success:
                    break
            except httpx.HTTPError:
                continue
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(timeout=30)


if __name__ == "__main__":
    main()
