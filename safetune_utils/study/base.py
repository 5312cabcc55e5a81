"""The base model of a study: what stands for it in the key of a stage, and loading it; and the stages'
versions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from safetune_utils import store
from safetune_utils.models.identity import commit_in
from safetune_utils.models.template import ALPACA, TEMPLATE, TEMPLATE_WITH_INPUT
from safetune_utils.study.study import Study

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

# One is raised when its stage would give another result from the same inputs, or when the default of a
# setting changes that is part of them.
VERSIONS = {
    "mixes": 1,
    "base_losses": 2,
    "adapters": 3,
    "responses": 3,
    "scores": 4,
    "capability": 2,
    "reference-losses": 2,
}


def key(study: Study) -> store.Facts:
    """What the base model, as this study holds it, and its prompt template add to a stage's inputs."""
    s = study.settings
    held = {} if s.quantization == "none" else {"quantization": s.quantization}
    return {
        "template": TEMPLATE + TEMPLATE_WITH_INPUT if s.template == ALPACA else s.template,
        "base_model": study.base_identity,
        "arithmetic": study.arithmetic,
    } | held


def load(study: Study) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The base model, loaded as the study's settings say, at the revision that it was identified by, and its
    tokenizer.

    Raises:
        SafetuneError: it cannot be loaded, or this machine lacks the planned device.
    """
    from safetune_utils.models.base_model import load_base

    s = study.settings
    return load_base(
        s.base_model,
        device=s.device,
        precision=s.precision,
        quantization=s.quantization,
        revision=commit_in(study.base_identity),
    )
