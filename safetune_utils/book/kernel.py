"""The kernel that notebooks run in."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ipykernel.kernelspec import get_kernel_dict
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager

from safetune_utils.machine import stopping
from safetune_utils.terminal import say

_WORDS = "said"  # the file of a kernel's standard error


def own_kernel(folder: str) -> type[AsyncKernelManager]:
    """A kernel of the interpreter that runs this, whatever is installed under the name ``python3``; it ends
    with this process.

    Its messages go through no ports but files in a folder that this user alone can open: what a notebook
    shows is sent to whoever connects.
    """

    class Own(AsyncKernelManager):
        def __init__(self, **given: Any) -> None:
            super().__init__(transport="ipc", connection_file=f"{folder}/kernel.json", **given)

        @property
        def shutdown_wait_time(self) -> float:  # seconds, half of them until SIGTERM
            return 4.0 if stopping.asked() else 5.0

        async def _async_launch_kernel(self, kernel_cmd: list[str], **given: Any) -> None:
            with Path(folder, _WORDS).open("ab") as words:
                await super()._async_launch_kernel(kernel_cmd, **given | {"stderr": words})

        async def _async_interrupt_kernel(self) -> None:
            # One that has come to its end would log it as an error.
            if stopping.asked():
                await super()._async_interrupt_kernel()

        @property
        def kernel_spec(self) -> KernelSpec:
            module = "'ipykernel_launcher', run_name='__main__', alter_sys=True"
            command = stopping.python(f"import runpy; runpy.run_module({module})", "-f", "{connection_file}")
            return KernelSpec(**get_kernel_dict() | {"argv": command})

    return Own


@contextlib.contextmanager
def folder_of_kernel() -> Iterator[str]:
    """A folder for a kernel's files, which this user alone can open.

    What the kernel itself has said by the end, besides what its cells say, goes to standard error; but not
    where it is being stopped, which its libraries tell at length.
    """
    # The path of a socket has room for about 100 characters.
    short = None if len(tempfile.gettempdir()) < 60 else "/tmp"
    with tempfile.TemporaryDirectory(
        prefix="safetune-kernel-", dir=short, ignore_cleanup_errors=True
    ) as folder:
        try:
            yield folder
        finally:
            words = Path(folder, _WORDS)
            if words.is_file() and not stopping.asked():
                for line in words.read_text("utf-8", errors="replace").splitlines():
                    say(line, error=True)
