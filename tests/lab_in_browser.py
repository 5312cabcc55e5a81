"""JupyterLab driven in a real browser: a notebook is opened, run from its menu, and saved."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page

# Before a code cell stands "[3]:" where it has run, "[*]:" while it runs or waits, "[ ]:" where it has not,
# and nothing where its source is hidden.
_HAS_ENDED = """() => {
    const cells = [...document.querySelectorAll(".jp-Notebook .jp-CodeCell .jp-InputPrompt")];
    const before = cells.map((one) => one.textContent);
    return before.some((text) => /\\d/.test(text)) && !before.some((text) => text.includes("*"));
}"""


@contextmanager
def serving(jupyter: Path, notebook: Path, variables: Mapping[str, str], log: Path) -> Iterator[str]:
    """JupyterLab in a notebook's folder, without a token and with no settings or workspace of the user; the
    address that opens the notebook.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}"]
    with log.open("w") as said:
        server = subprocess.Popen(
            [str(jupyter), "lab", *options, "--IdentityProvider.token="],
            cwd=notebook.parent,
            env={**variables, "JUPYTER_CONFIG_DIR": str(log.parent / "jupyter")},
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
    try:
        yield f"http://127.0.0.1:{port}/lab/tree/{notebook.name}"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)
        server.wait()


def open_notebook(page: Page, address: str) -> None:
    """Open it, and wait until its kernel is there."""
    for _ in range(120):
        with contextlib.suppress(Exception):  # the server is not up yet
            page.goto(address)
            break
        page.wait_for_timeout(500)
    page.locator(".jp-Notebook .jp-CodeCell").first.wait_for()
    # The circle in the notebook's toolbar says "Idle" too while there is no kernel yet, and what is run then
    # is dropped without a word. The status bar says both the kernel's name and its state.
    page.locator(".jp-StatusBar-Item", has_text="| Idle", has_not_text="No Kernel").wait_for()


def run_all_cells(page: Page, notebook: Path, *, minutes: float) -> None:
    """The menu's Run > Run All Cells, then Ctrl+S. It fails where a cell did, or where that takes longer, and
    says what is on the page and in the file.
    """
    page.get_by_role("menubar").get_by_text("Run", exact=True).click()
    # Not by its words: "Restart Kernel and Run All Cells…" has them too, and first asks whether it should.
    page.locator(".lm-Menu-item[data-command='runmenu:run-all']").click()
    with contextlib.suppress(Exception):  # after too long; what is there is looked at below
        page.wait_for_function(_HAS_ENDED, timeout=minutes * 60_000)
    asked = page.locator(".jp-Dialog").all_text_contents()
    assert not asked, f"JupyterLab asks: {asked}"
    page.keyboard.press("Control+s")
    page.locator(".lm-TabBar-tab.jp-mod-current.jp-mod-dirty").wait_for(state="detached")
    cells = [cell for cell in json.loads(notebook.read_text("utf-8"))["cells"] if "outputs" in cell]
    counts = [cell["execution_count"] for cell in cells]
    errors = [out["evalue"] for cell in cells for out in cell["outputs"] if out["output_type"] == "error"]
    assert None not in counts, f"JupyterLab ran not every cell: {counts}; errors: {errors}"
    assert not errors
