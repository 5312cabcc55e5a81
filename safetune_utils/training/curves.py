"""The losses of a training that is under way, for TensorBoard to show.

``SAFETUNE_TENSORBOARD`` names a folder; ``safetune --tensorboard`` sets it, and each process that trains
reads it. The losses are in the adapter's ``losses.csv`` either way.
"""

from __future__ import annotations

import contextlib
import importlib.util
import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from safetune_utils.errors import SafetuneError
from safetune_utils.machine import distributed
from safetune_utils.machine.files import check_folder
from safetune_utils.places import extra

if TYPE_CHECKING:
    from safetune_utils.training.checkpoint import StepLosses


def check() -> Path | None:
    """The folder that was asked for; ``None`` where none was.

    Raises:
        SafetuneError: one was, and it cannot be written to, or TensorBoard's package is not installed.
    """
    asked = os.environ.get("SAFETUNE_TENSORBOARD")
    if asked and importlib.util.find_spec("tensorboard") is None:
        raise SafetuneError(
            f"--tensorboard needs TensorBoard: {extra('curves')}, or leave out --tensorboard and"
            " SAFETUNE_TENSORBOARD"
        )
    mend = "set --tensorboard to a folder that can be written"
    return check_folder(Path(asked), mend=mend) if asked else None


@contextlib.contextmanager
def drawing(name: str, *, first_step: int) -> Iterator[Callable[[StepLosses], None]]:
    """Give a function that draws the losses of a step; it does nothing where no folder was asked for.

    Args:
        name: the training's, a folder within that one.
        first_step: the steps that were made before, of a training that goes on; what was drawn after them
            is hidden.
    """
    folder = None if distributed.rank() else check()
    if folder is None:
        yield lambda _: None
        return
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder / name), purge_step=first_step + 1 if first_step else None) as writer:

        def draw(losses: StepLosses) -> None:
            for which in ("train_loss", "validation_loss"):
                if not math.isnan(losses[which]):
                    writer.add_scalar(which, losses[which], losses["step"])

        yield draw
