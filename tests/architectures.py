"""Random models of real architectures, small enough to load, train and ask in a moment.

:data:`NAMES` lists them by transformers' ``model_type``; :func:`tiny` builds one, :func:`tokenizer` is the
tokenizer of all of them, and :func:`save` writes both to a folder as a real base model stands in one.

Weights are drawn so that what a fast path could leave out shows: scores, logits and biases of about 1, logit
scales, soft caps and multipliers that are not 1, windows shorter than a prompt.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

from safetune_utils import data
from safetune_utils.models.template import render

VOCABULARY = 1024
POSITIONS = 512
WINDOW = 16  # tokens that a layer with a window sees: fewer than the shortest prompt has
PAD, BOS, EOS = 0, 1, 2

_HEADS = {"num_attention_heads": 4}
_GROUPED = _HEADS | {"num_key_value_heads": 2}
_BODY = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "max_position_embeddings": POSITIONS,
}
_LLAMA = _BODY | _GROUPED
_GPT = {"n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": POSITIONS}
_FAIRSEQ = {
    "d_model": 64,
    "num_layers": 2,
    "attention_heads": 4,
    "ffn_dim": 96,
    "max_position_embeddings": POSITIONS,
}
_EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2}
_BOTH_KINDS = {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": WINDOW}
_MAMBA_2 = {"expand": 2, "n_groups": 1, "num_heads": 4, "head_dim": 32, "state_size": 16, "chunk_size": 16}

# The smallest settings for each: what a config has beyond the special tokens and the size of the vocabulary.
# Where an architecture has what others lack (a scale, a cap, a window, ALiBi), it is switched on.
_SETTINGS: dict[str, dict[str, Any]] = {
    "apertus": _LLAMA,
    "arcee": _LLAMA,
    "bamba": _LLAMA
    | {"mamba_n_heads": 4, "mamba_d_head": 32, "mamba_d_state": 16, "mamba_n_groups": 1}
    | {"mamba_chunk_size": 16, "attn_layer_indices": [1]},
    "biogpt": _BODY | _HEADS,
    "bloom": {"hidden_size": 64, "n_layer": 2, "n_head": 4},
    "codegen": _GPT | {"rotary_dim": 8, "n_ctx": POSITIONS},
    "cohere": _LLAMA | {"logit_scale": 0.25},
    "cohere2": _LLAMA | {"logit_scale": 0.25} | _BOTH_KINDS,
    "deepseek_v3": _LLAMA
    | {"num_key_value_heads": 4, "moe_intermediate_size": 32, "n_routed_experts": 4, "n_group": 1}
    | {"topk_group": 1, "num_experts_per_tok": 2, "first_k_dense_replace": 1, "kv_lora_rank": 16}
    | {"q_lora_rank": 24, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "v_head_dim": 16},
    "ernie4_5": _LLAMA,
    "exaone4": _LLAMA | _BOTH_KINDS,
    "falcon": {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "bias": True}
    | {"multi_query": True, "parallel_attn": True, "new_decoder_architecture": False, "alibi": False},
    "falcon_mamba": {"hidden_size": 64, "num_hidden_layers": 2, "state_size": 8},
    "gemma": _LLAMA | {"head_dim": 16},
    "gemma2": _LLAMA
    | {"head_dim": 16, "query_pre_attn_scalar": 16, "final_logit_softcapping": 2.0}
    | {"attn_logit_softcapping": 2.0}
    | _BOTH_KINDS,
    "gemma3_text": _LLAMA | {"head_dim": 16, "query_pre_attn_scalar": 16} | _BOTH_KINDS,
    "glm4": _LLAMA | {"head_dim": 16},
    "gpt2": _GPT,
    "gpt_bigcode": _GPT,
    "gpt_neo": {"hidden_size": 64, "num_layers": 2, "num_heads": 4, "window_size": WINDOW}
    | {"attention_types": [[["global", "local"], 1]], "max_position_embeddings": POSITIONS},
    "gpt_neox": _BODY | _HEADS,
    "gpt_oss": _LLAMA
    | {"head_dim": 16, "num_local_experts": 4, "num_experts_per_tok": 2}
    | {"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}}
    | _BOTH_KINDS,
    "gptj": _GPT | {"rotary_dim": 8},
    "granite": _LLAMA
    | {"logits_scaling": 4.0, "embedding_multiplier": 6.0, "residual_multiplier": 0.5}
    | {"attention_multiplier": 0.2},
    "granitemoe": _LLAMA
    | {"logits_scaling": 4.0, "embedding_multiplier": 6.0, "residual_multiplier": 0.5}
    | {"num_local_experts": 4, "num_experts_per_tok": 2, "attention_multiplier": 0.2},
    "helium": _LLAMA | {"head_dim": 16},
    "jamba": _LLAMA
    | {"num_experts": 4, "expert_layer_period": 2, "expert_layer_offset": 1, "attn_layer_period": 2}
    | {"attn_layer_offset": 1, "mamba_d_state": 8, "mamba_dt_rank": 8},
    "llama": _LLAMA,
    "mamba": {"hidden_size": 64, "num_hidden_layers": 2, "state_size": 8},
    "mamba2": {"hidden_size": 64, "num_hidden_layers": 2} | _MAMBA_2,
    "mistral": _LLAMA | {"sliding_window": WINDOW},
    "mixtral": _LLAMA | {"num_local_experts": 4, "num_experts_per_tok": 2},
    "mpt": {"d_model": 64, "n_heads": 4, "n_layers": 2, "expansion_ratio": 2, "max_seq_len": POSITIONS},
    "nemotron": _LLAMA,
    "olmo": _LLAMA | {"clip_qkv": 2.0},
    "olmo2": _LLAMA,
    "olmo3": _LLAMA | _BOTH_KINDS,
    "olmoe": _LLAMA | _EXPERTS,
    "opt": {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "ffn_dim": 96}
    | {"word_embed_proj_dim": 64, "max_position_embeddings": POSITIONS},
    "persimmon": _BODY | _HEADS,
    "phi": _BODY | _HEADS,
    "phi3": _LLAMA | {"sliding_window": WINDOW},
    "qwen2": _LLAMA,
    "qwen2_moe": _LLAMA | _EXPERTS | {"moe_intermediate_size": 32, "shared_expert_intermediate_size": 32},
    "qwen3": _LLAMA | {"head_dim": 16},
    "qwen3_moe": _LLAMA | _EXPERTS | {"head_dim": 16, "moe_intermediate_size": 32},
    "recurrent_gemma": _GROUPED
    | {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3, "lru_width": 64, "head_dim": 16}
    | {"attention_window_size": WINDOW},
    "rwkv": {"hidden_size": 64, "num_hidden_layers": 2, "context_length": POSITIONS},
    "smollm3": _LLAMA | {"no_rope_layers": [1, 0]},
    "stablelm": _LLAMA,
    "starcoder2": _LLAMA | {"sliding_window": WINDOW},
    "xglm": _FAIRSEQ,
}
NAMES = tuple(_SETTINGS)


def tiny(name: str, *, seed: int = 0, **settings: Any) -> PreTrainedModel:
    """A random model of an architecture in float32, frozen and in evaluation mode, the same each time.

    Args:
        name: one of :data:`NAMES`.
        seed: of the weights.
        **settings: of the config, instead of those above.
    """
    config = AutoConfig.for_model(
        name,
        **{"vocab_size": VOCABULARY, "bos_token_id": BOS, "eos_token_id": EOS, "pad_token_id": PAD}
        | _SETTINGS[name]
        | settings,
    )
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    for parameter_name, parameter in model.named_parameters():
        if parameter_name.endswith("weight") and parameter.dim() == 2:
            torch.nn.init.normal_(parameter, std=1.2 * parameter.shape[1] ** -0.5)
        elif parameter_name.endswith("weight") and parameter.dim() == 1:
            # About 0, or tied embeddings make a model say its last token again. Gemma's norms add 1.
            torch.nn.init.normal_(parameter, mean=-1.0 if "gemma" in name else 0.0)
        elif parameter_name.endswith("bias"):
            torch.nn.init.normal_(parameter, std=0.1)
    return model.requires_grad_(False).eval()


@cache
def tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level tokenizer of :data:`VOCABULARY` tokens, learned from a part of the embedded corpus."""
    kept = Tokenizer(models.BPE())
    kept.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    kept.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=["<pad>", "<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    rows = data.general_examples("embedded")[:200]
    kept.train_from_iterator(
        (render(instruction=row.instruction, input=row.input) + row.output for row in rows), trainer
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=kept, pad_token="<pad>", bos_token="<s>", eos_token="</s>"
    )


def save(model: PreTrainedModel, folder: Path) -> Path:
    """Write a model and the tokenizer to a folder, which is returned."""
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder
