"""The base model of a study: what stands for it in the key of a stage, and loading it."""

from __future__ import annotations

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from safetune_utils import store
from safetune_utils.models.base_model import dtype_of, load_base
from safetune_utils.models.template import TEMPLATE, TEMPLATE_WITH_INPUT
from safetune_utils.study.study import Study


def key(study: Study) -> store.Facts:
    """What the base model, as this study holds it, and its prompt template add to a stage's inputs."""
    return {
        "template": TEMPLATE + TEMPLATE_WITH_INPUT,
        "base_model": study.base_identity,
        "precision": str(dtype_of(study.settings.precision)),
        "quantization": study.settings.quantization,
    }


def load(study: Study) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The base model, loaded as the study's settings say, and its tokenizer."""
    s = study.settings
    return load_base(s.base_model, precision=s.precision, quantization=s.quantization)
