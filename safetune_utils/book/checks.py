"""What a built page must not have."""

from __future__ import annotations

import re
from pathlib import Path

from safetune_utils.book import provenance


def page_faults(output: Path, experiment_pages: list[str]) -> list[str]:
    """What a page must not have: errors, unresolved names, requests to other hosts, no figure, figures
    without alt text, numbers or record; staleness.
    """
    faults = []
    for path in sorted(output.rglob("*.html")):
        name, text = str(path.relative_to(output)), path.read_text("utf-8")
        if name.startswith(("_static", "genindex", "search")):
            continue
        if "cell_output docutils container" in text and re.search(r'class="output (traceback|stderr)', text):
            faults.append(f"{name} shows an error or a warning of its code")
        if 'class="admonition warning safetune-stale"' in text:
            faults.append(
                f"{name} is stale: its notebook, the package's code or data changed since it was executed"
            )
        if re.search(r"\{glue:|\{\{ ", _without_code(text)):
            faults.append(f"{name} has a name that was not filled in")
        foreign = re.findall(r'<(?:script|link|img|iframe)\b[^>]*?(?:src|href)="(https?:)?//[^"]*"', text)
        if foreign:
            faults.append(f"{name} asks another host for a file")
        for image in re.findall(r"<img\b[^>]*>", text):
            alt = re.search(r'alt="([^"]*)"', image)
            if not alt or not alt.group(1).strip() or re.fullmatch(r"\S+\.(png|svg|jpe?g)", alt.group(1)):
                faults.append(f"{name} has an image without alt text")
    for name in [*experiment_pages, "book/welcome.html"]:
        if 'class="safetune-figure"' not in (output / name).read_text("utf-8"):
            faults.append(f"{name} has no figure")
    for name in [name for name in experiment_pages if name.startswith("notebooks/")]:
        faults += provenance.link_faults(name, (output / name).read_text("utf-8"))
        if not (output / name).with_name(provenance.record_name(Path(name).stem)).is_file():
            faults.append(f"{name} has no run record beside it")
    return faults


def _without_code(text: str) -> str:
    return re.sub(r"<pre>.*?</pre>|<code\b.*?</code>", "", text, flags=re.DOTALL)
