"""Shapes of models: the sizes that memory and arithmetic depend on, found without loading weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedConfig

from safetune_utils.errors import SafetuneError, first_line


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A model's shape, as far as memory and arithmetic depend on it.

    Attributes:
        layers: decoder layers.
        hidden: width of the hidden states.
        intermediate: width inside the MLP.
        heads, kv_heads: query heads, and heads of keys and values, which several query heads may share.
        head_size: width of one head.
        vocabulary: rows of the embedding matrix.
        tied: whether the output layer uses the embedding matrix.
        gated: whether the MLP is gated. A gated MLP keeps three tensors of ``intermediate`` values a token
            until the backward pass, another one.
        matrices: the projections of all decoder layers, each as (name, inputs, outputs).
        others: parameters that are neither in ``matrices`` nor in embeddings (norms, biases).
        stored_bytes: size of a parameter in the published weights, in bytes.
    """

    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head_size: int
    vocabulary: int
    tied: bool
    gated: bool
    matrices: tuple[tuple[str, int, int], ...]
    others: int
    stored_bytes: int = 2


class ParameterCounts(TypedDict):
    """How many parameters a model has in each place.

    Attributes:
        body: in the matrices of its layers.
        embeddings: in the embedding matrix.
        head: in the output layer; 0 where that is tied to the embeddings.
        others: in norms and biases.
        total: in all of these.
        adapter: in an adapter on it, which is not part of the total.
    """

    body: int
    embeddings: int
    head: int
    others: int
    total: int
    adapter: int


def llama_like(
    *,
    layers: int,
    hidden: int,
    intermediate: int,
    heads: int,
    kv_heads: int,
    vocabulary: int,
    tied: bool = False,
) -> Architecture:
    """The shape of a Llama (Touvron et al., 2023): four attention projections, three of a gated MLP and two
    norms a layer, and a last norm.
    """
    size = hidden // heads
    keys = kv_heads * size
    layer = (
        ("q_proj", hidden, hidden),
        ("k_proj", hidden, keys),
        ("v_proj", hidden, keys),
        ("o_proj", hidden, hidden),
        ("gate_proj", hidden, intermediate),
        ("up_proj", hidden, intermediate),
        ("down_proj", intermediate, hidden),
    )
    return Architecture(
        layers=layers,
        hidden=hidden,
        intermediate=intermediate,
        heads=heads,
        kv_heads=kv_heads,
        head_size=size,
        vocabulary=vocabulary,
        tied=tied,
        gated=True,
        matrices=layer * layers,
        others=(2 * layers + 1) * hidden,
    )


def falcon_like(*, layers: int, hidden: int, heads: int, vocabulary: int) -> Architecture:
    """The shape of the first Falcons (Almazrouei et al., 2023): one key and one value head for all query
    heads, attention and MLP side by side after one norm, tied embeddings.
    """
    size = hidden // heads
    layer = (
        ("query_key_value", hidden, hidden + 2 * size),
        ("dense", hidden, hidden),
        ("dense_h_to_4h", hidden, 4 * hidden),
        ("dense_4h_to_h", 4 * hidden, hidden),
    )
    return Architecture(
        layers=layers,
        hidden=hidden,
        intermediate=4 * hidden,
        heads=heads,
        kv_heads=1,
        head_size=size,
        vocabulary=vocabulary,
        tied=True,
        gated=False,
        matrices=layer * layers,
        others=(layers + 1) * 2 * hidden,
    )


# The models of the presets and the paper's other models, from their published config.json, so that nothing is
# downloaded to count them.
KNOWN = {
    "embedded": llama_like(
        layers=30, hidden=576, intermediate=1536, heads=9, kv_heads=3, vocabulary=49152, tied=True
    ),
    "huggyllama/llama-7b": llama_like(
        layers=32, hidden=4096, intermediate=11008, heads=32, kv_heads=32, vocabulary=32000
    ),
    "huggyllama/llama-13b": llama_like(
        layers=40, hidden=5120, intermediate=13824, heads=40, kv_heads=40, vocabulary=32000
    ),
    "tiiuae/falcon-7b": falcon_like(layers=32, hidden=4544, heads=71, vocabulary=65024),
}


def architecture_of(name: str) -> Architecture:
    """The shape of a base model: from :data:`KNOWN`, else from its configuration.

    The configuration may be downloaded; the weights never are.

    Raises:
        SafetuneError: the configuration cannot be loaded, or is not that of a language model.
    """
    if name in KNOWN:
        return KNOWN[name]
    folder = Path(name).expanduser()
    try:
        return from_config(
            AutoConfig.from_pretrained(folder if folder.is_dir() else name, trust_remote_code=False)
        )
    except (OSError, ValueError) as error:
        raise SafetuneError(
            f"base model '{name}' cannot be counted ({first_line(error)}): check the id and the "
            f"network, or give one of {', '.join(KNOWN)}, or a folder"
        ) from None


def from_config(config: PreTrainedConfig) -> Architecture:
    """The shape of a model that a configuration describes, built without memory on PyTorch's meta device.

    Raises:
        SafetuneError: the model's projections are not ``torch.nn.Linear`` layers.
    """
    config = config.get_text_config()
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    decoder = model.get_decoder()
    matrices = tuple(
        (name, m.in_features, m.out_features)
        for name, m in decoder.named_modules()
        if isinstance(m, torch.nn.Linear)
    )
    if not matrices:
        raise SafetuneError(
            f"a model of type '{config.model_type}' keeps its weights in a form that is not counted here: "
            "choose a Llama-like base_model"
        )
    vocabulary, hidden = model.get_input_embeddings().weight.shape
    counted = sum(inputs * outputs for _, inputs, outputs in matrices) + vocabulary * hidden
    head = model.get_output_embeddings().weight
    # A model built on the meta device may hold tied weights twice.
    separate_head = 0 if head is model.get_input_embeddings().weight else head.numel()
    heads = config.num_attention_heads
    return Architecture(
        layers=config.num_hidden_layers,
        hidden=hidden,
        intermediate=_first_of(config, "intermediate_size", "ffn_hidden_size", "n_inner") or 4 * hidden,
        heads=heads,
        kv_heads=_kv_heads(config),
        head_size=_first_of(config, "head_dim") or hidden // heads,
        vocabulary=vocabulary,
        tied=bool(config.tie_word_embeddings),
        gated=any("gate" in name for name, _, _ in matrices),
        matrices=matrices,
        others=sum(p.numel() for p in model.parameters()) - counted - separate_head,
        stored_bytes=config.dtype.itemsize if isinstance(config.dtype, torch.dtype) else 2,
    )


def _kv_heads(config: PreTrainedConfig) -> int:
    """How many heads of keys and values there are: the first Falcons have one for all query heads."""
    if getattr(config, "multi_query", False) and not getattr(config, "new_decoder_architecture", False):
        return 1
    return _first_of(config, "num_key_value_heads", "num_kv_heads") or config.num_attention_heads


def _first_of(config: PreTrainedConfig, *names: str) -> int | None:
    """The first of these settings that is there and not 0."""
    return next((value for name in names if (value := getattr(config, name, None))), None)


def parameters(shape: Architecture, *, rank: int = 0, target_modules: Sequence[str] = ()) -> ParameterCounts:
    """How many parameters a model has in each place.

    Args:
        shape: the model's shape.
        rank: rank of the LoRA matrices; 0 where there is no adapter.
        target_modules: names of the projections that get an adapter.

    Raises:
        SafetuneError: none of ``target_modules`` is a projection of this model.
    """
    ends = [inputs + outputs for name, inputs, outputs in shape.matrices if is_target(name, target_modules)]
    if target_modules and not ends:
        names = dict.fromkeys(name.rsplit(".", 1)[-1] for name, _, _ in shape.matrices)
        raise SafetuneError(
            f"target_modules {list(target_modules)} are not layers of this model: "
            f"choose from {', '.join(names)}"
        )
    body = sum(inputs * outputs for _, inputs, outputs in shape.matrices)
    embeddings = shape.vocabulary * shape.hidden
    head = 0 if shape.tied else embeddings
    return {
        "body": body,
        "embeddings": embeddings,
        "head": head,
        "others": shape.others,
        "total": body + embeddings + head + shape.others,
        "adapter": rank * sum(ends),
    }


def is_target(name: str, target_modules: Sequence[str]) -> bool:
    """Whether a projection is one of those that get an adapter."""
    return any(name == target or name.endswith(f".{target}") for target in target_modules)
