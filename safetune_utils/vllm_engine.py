"""Answers by vLLM, on a GPU where it is installed: another engine behind :func:`safetune_utils.generate.generate`.

Written from vLLM's documentation and tried against a stand-in only: no machine of ours had a GPU. It brings its own
version of PyTorch, so it is not among this package's extras; `pip install vllm` in an environment of its own.
"""

from __future__ import annotations

import importlib.util
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from safetune_utils.settings import Decoding


@dataclass(frozen=True)
class VllmModel:
    """A base model by the name or folder that vLLM loads, and an adapter's folder or ``None``."""

    base: str
    adapter: Path | None
    precision: str = "auto"

    @cached_property
    def engine(self) -> Any:
        from vllm import LLM

        lora = {"enable_lora": True, "max_lora_rank": max(8, _rank(self.adapter))} if self.adapter else {}
        kinds = {"auto": "auto", "bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}
        return LLM(model=self.base, dtype=kinds[self.precision], trust_remote_code=False, enable_prefix_caching=True, **lora)

    def said(self, prompts: list[list[int]], how: Decoding, *, stop: int, seeds: list[int]) -> list[list[int]]:
        """Token ids after each prompt, the stop token included where an answer came to its end."""
        from vllm import SamplingParams
        from vllm.lora.request import LoRARequest

        request = LoRARequest("adapter", 1, str(self.adapter)) if self.adapter else None
        wishes = [SamplingParams(max_tokens=how.max_new_tokens, temperature=how.temperature, seed=seed, stop_token_ids=[stop]) for seed in seeds]
        outputs = self.engine.generate([{"prompt_token_ids": ids} for ids in prompts], wishes, lora_request=request, use_tqdm=False)
        answers = []
        for output in outputs:
            ids = list(output.outputs[0].token_ids)
            ended = output.outputs[0].finish_reason == "stop"
            answers.append(ids if not ended or ids[-1:] == [stop] else [*ids, stop])
        return answers


def can_answer(how: Decoding, *, quantization: str) -> bool:
    """Whether vLLM is to answer: it is installed, there is a GPU, and nothing is asked for that it does in another way."""
    return importlib.util.find_spec("vllm") is not None and torch.cuda.is_available() and how.num_beams == 1 and quantization == "none"


def _rank(adapter: Path) -> int:
    return int(json.loads((adapter / "adapter_config.json").read_text("utf-8"))["r"])
