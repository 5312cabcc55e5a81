"""Shapes of models: the sizes that memory and arithmetic depend on, and the layers that an adapter goes on,
found without loading weights.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, cast

from safetune_utils.errors import SafetuneError
from safetune_utils.models.embedded import source
from safetune_utils.models.identity import hub_words
from safetune_utils.settings import USUAL_TARGETS

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedConfig, PreTrainedModel


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A model's shape, as far as memory and arithmetic depend on it.

    Attributes:
        model_type: the architecture's name in transformers.
        layers: decoder layers.
        hidden: width of the hidden states.
        intermediate: width inside the MLP.
        heads, kv_heads: query heads, and heads of keys and values, which several query heads may share; 0
            where there is no attention.
        head_size: width of one head.
        vocabulary: rows of the embedding matrix.
        tied: whether the output layer uses the embedding matrix.
        gated: whether the MLP is gated. A gated MLP keeps three tensors of ``intermediate`` values a token
            until the backward pass, another one.
        matrices: the projections of all decoder layers, each as (name, inputs, outputs); of experts all, so
            that memory is right and operations are the most that there can be.
        others: parameters that are neither in ``matrices`` nor in embeddings (norms, biases).
        stored_bytes: size of a parameter in the published weights, in bytes.
    """

    model_type: str
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

    @property
    def default_targets(self) -> list[str]:
        """The layers that get an adapter where none are named, see :func:`default_targets`."""
        return default_targets(self.model_type, [name for name, _, _ in self.matrices])


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
        model_type="llama",
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
        model_type="falcon",
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


# What else of such a model can get an adapter: its vocabulary's two layers.
_ENDS = ("embed_tokens", "word_embeddings", "lm_head")


def check_known_targets(name: str, target_modules: Sequence[str]) -> None:
    """Raise ``SafetuneError`` where layers that are to get an adapter are none of a model of :data:`KNOWN`.

    What a model in a folder or of the hub has is seen when it is built, see
    :func:`safetune_utils.models.checks.check_base`.
    """
    if (shape := KNOWN.get(name)) is None:
        return
    layers = [*dict.fromkeys(layer for layer, _, _ in shape.matrices), *_ENDS]
    if wrong := [target for target in target_modules if target.rsplit(".", 1)[-1] not in layers]:
        raise SafetuneError(no_layers(wrong, layers))


def architecture_of(name: str, *, revision: str | None = None) -> Architecture | None:
    """The shape of a base model: from :data:`KNOWN`, else from its configuration; ``None`` where it has parts
    that are not counted here.

    The configuration may be downloaded; the weights never are.

    Raises:
        SafetuneError: the configuration cannot be loaded.
    """
    if name in KNOWN:
        return KNOWN[name]
    config = load_config(name, revision=revision)
    # An architecture may lack any of the sizes, under any name, and a forecast must not keep it from running.
    try:
        return from_config(config)
    except Exception:
        return None


def load_config(name: str, *, revision: str | None = None) -> PreTrainedConfig:
    """The configuration of a base model: the embedded one's, or of a folder or of the Hugging Face hub.

    Raises:
        SafetuneError: it cannot be loaded.
    """
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(source(name), trust_remote_code=False, revision=revision or "main")
    except Exception as error:  # whatever a damaged or a strange file makes the library raise
        if "trust_remote_code" in str(error):
            raise SafetuneError(
                f"base model '{name}' comes with code of its own, which is not run here: give a model of an "
                "architecture that transformers has"
            ) from None
        mend = (
            "copy or save the model again"
            if Path(name).expanduser().is_dir()
            else "check the id, the network and your access to it, or give a folder that holds it"
        )
        raise SafetuneError(
            f"the config.json of base model '{name}' cannot be read ({hub_words(error)}): {mend}"
        ) from None


def skeleton(config: PreTrainedConfig) -> PreTrainedModel:
    """The model that a configuration describes, without memory for its weights (PyTorch's meta device)."""
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config, trust_remote_code=False)


def from_config(config: PreTrainedConfig) -> Architecture:
    """The shape of the model that a configuration describes.

    Raises:
        Exception: of any kind, where it lacks a size that is read here.
    """
    import torch

    config = config.get_text_config()
    model = skeleton(config)
    matrices = tuple(_matrices(model.get_decoder()))
    ends = (model.get_input_embeddings(), model.get_output_embeddings())
    embedding, head = (cast("torch.Tensor", end.weight) for end in ends)
    vocabulary, hidden = embedding.shape
    counted = sum(inputs * outputs for _, inputs, outputs in matrices) + vocabulary * hidden
    # A model built on the meta device may hold tied weights twice.
    separate_head = 0 if head is embedding else head.numel()
    heads = _first_of(config, "num_attention_heads") or 0
    return Architecture(
        model_type=config.model_type,
        layers=config.num_hidden_layers,
        hidden=hidden,
        intermediate=_first_of(config, "intermediate_size", "ffn_hidden_size", "n_inner") or 4 * hidden,
        heads=heads,
        kv_heads=_kv_heads(config) or heads,
        head_size=(_first_of(config, "head_dim") or hidden // heads) if heads else 0,
        vocabulary=vocabulary,
        tied=bool(config.tie_word_embeddings),
        gated=any("gate" in name for name, _, _ in matrices),
        matrices=matrices,
        others=sum(p.numel() for p in model.parameters()) - counted - separate_head,
        stored_bytes=config.dtype.itemsize if isinstance(config.dtype, torch.dtype) else 2,
    )


def _matrices(decoder: torch.nn.Module) -> Iterator[tuple[str, int, int]]:
    """Name, inputs and outputs of each projection; GPT-2's are of a class of their own, and experts stand in
    one tensor.
    """
    import torch
    from transformers.pytorch_utils import Conv1D

    for name, module in decoder.named_modules():
        if isinstance(module, torch.nn.Linear):
            yield name, module.in_features, module.out_features
        elif isinstance(module, Conv1D):
            yield name, module.nx, module.nf
        else:
            for parameter in module.parameters(recurse=False):
                if parameter.dim() == 3 and "expert" in name:
                    yield from [(name, parameter.shape[1], parameter.shape[2])] * len(parameter)


def _kv_heads(config: PreTrainedConfig) -> int | None:
    """How many heads of keys and values there are: the first Falcons have one for all query heads."""
    if getattr(config, "multi_query", False) and not getattr(config, "new_decoder_architecture", False):
        return 1
    return _first_of(config, "num_key_value_heads", "num_kv_heads")


def _first_of(config: PreTrainedConfig, *names: str) -> int | None:
    """The first of these settings that is there and not 0."""
    return next((value for name in names if (value := getattr(config, name, None))), None)


def default_targets(model_type: str, layers: Iterable[str]) -> list[str]:
    """The layers that get an adapter where none are named: PEFT's default for the architecture.

    Where PEFT has none, it is the first of its defaults for others that this model has all layers of, such as
    ``q_proj`` and ``v_proj``; then ``in_proj``, the one layer of Mamba that its fast kernels do not read past
    the adapter; then all projections of attention, and where there is none all projections.

    Args:
        model_type: the architecture's name in transformers.
        layers: the names of the projections in the model's layers.
    """
    from peft.utils.constants import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as DEFAULTS

    # Experts that stand in one tensor are no layer for an adapter.
    last = {name: name.rsplit(".", 1)[-1] for name in layers if not name.endswith("experts")}
    there = set(last.values())
    own = [DEFAULTS[model_type]] if model_type in DEFAULTS else []
    for targets in (*own, USUAL_TARGETS, *DEFAULTS.values(), ["in_proj"]):
        if isinstance(targets, list) and there.issuperset(targets):
            return list(targets)
    return sorted({last[name] for name in last if "attn" in name or "attention" in name} or there)


def targets_of(model: PreTrainedModel) -> list[str]:
    """The layers of a model that get an adapter where none are named, see :func:`default_targets`."""
    return default_targets(model.config.model_type, linear_layers(model))


def linear_layers(model: PreTrainedModel) -> list[str]:
    """The names of the projections in a model's layers, that is of all but its output layer."""
    return [name for name, _, _ in _matrices(model.get_decoder())]


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
        raise SafetuneError(no_layers(target_modules, [name for name, _, _ in shape.matrices]))
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


def no_layers(targets: Sequence[str], layers: Iterable[str]) -> str:
    """The line for layers that are to get an adapter and that a model has not, beside those that it has."""
    names = dict.fromkeys(name.rsplit(".", 1)[-1] for name in layers)
    return (
        f"target_modules {list(targets)} are not layers of this model: choose from {', '.join(names)}, or "
        "leave target_modules away"
    )


def is_target(name: str, target_modules: Sequence[str]) -> bool:
    """Whether a projection is one of those that get an adapter."""
    return any(name == target or name.endswith(f".{target}") for target in target_modules)
