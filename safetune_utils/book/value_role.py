"""A Sphinx extension: the role ``{value}`` puts a value of a run into the prose of a page.

The values are those of ``values.json`` beside the pages, which :mod:`safetune_utils.book.site` writes. A
value becomes plain text of the page: it is never read as Markdown.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxRole

from safetune_utils.errors import closest

VALUES = "values.json"


class ValueRole(SphinxRole):
    """``{value}`nb01_malicious_first```: the value of that name."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        values = self.config.safetune_values
        if self.text not in values:
            close = closest(self.text, values)
            mend = f"did you mean '{close}'?" if close else "no chapter records it"
            message = self.inliner.reporter.error(f"no value '{self.text}': {mend}", line=self.lineno)
            return [], [message]
        # Smart quotes would change what the value says.
        return [nodes.inline("", "", nodes.Text(values[self.text]), support_smartquotes=False)], []


def _read(app: Sphinx, config: Any) -> None:
    config.safetune_values = json.loads((Path(app.srcdir) / VALUES).read_text("utf-8"))


def setup(app: Sphinx) -> dict[str, bool]:
    """What Sphinx calls."""
    app.add_config_value("safetune_values", {}, "env")
    app.connect("config-inited", _read)
    app.add_role("value", ValueRole())
    return {"parallel_read_safe": True, "parallel_write_safe": True}
