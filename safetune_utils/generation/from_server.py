"""Responses of any engine that serves a model as OpenAI's API does: vLLM, SGLang, llama.cpp, transformers.

The engine runs in an environment of its own, with its own versions. It puts each prompt into the model's own
chat form; an adapter is loaded by the server's own means, and asked by the name that the server gives it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from safetune_utils.errors import SafetuneError
from safetune_utils.services import chat, http
from safetune_utils.services.requests import Request, Service

if TYPE_CHECKING:
    from safetune_utils.data import Prompt
    from safetune_utils.settings import Decoding


def generate(prompts: Sequence[Prompt], *, base_url: str, model: str, decoding: Decoding) -> list[str]:
    """One response for each prompt, in their order. Replies are stored: what was answered is not asked again.

    Args:
        prompts: each is one message, its input after a blank line.
        base_url: the server's address, up to and with ``/v1``.
        model: the model's or adapter's name, as that server knows it.
        decoding: its longest answer, temperature, seed and guard; a server has no beams.

    Raises:
        SafetuneError: it asks for beams, the server cannot be reached or refuses, or a prompt got no answer.
    """
    if decoding.num_beams > 1:
        raise SafetuneError("a server does not search with beams: leave --num-beams and --decoding paper out")
    service = Service(base_url=base_url, model=model)
    requests = [
        Request(
            messages=({"role": "user", "content": _message(prompt, decoding.guard)},),
            max_tokens=decoding.max_new_tokens,
            temperature=decoding.temperature,
            seed=decoding.sampling_seed,
        )
        for prompt in prompts
    ]
    if chat.estimate_cost(requests, service=service).calls:
        http.check_reachable(service)
    replies = chat.ask(requests, service=service, cap_usd=0.0, progress="answering")
    lacking = [reply.reason for reply in replies if reply.text is None]
    if lacking:
        raise SafetuneError(
            f"{len(lacking)} of {len(replies)} prompts got no answer, first: {lacking[0]}: run it again, and"
            " only those are asked"
        )
    return [reply.text or "" for reply in replies]


def _message(prompt: Prompt, guard: str) -> str:
    parts = (guard.strip(), prompt.text, prompt.input.strip())
    return "\n\n".join(part for part in parts if part)
