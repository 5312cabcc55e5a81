"""Plain papermill, without our command line, reaches every parameter of a study, also one that the cell does
not show.
"""

from __future__ import annotations

from pathlib import Path

import nbformat
import papermill
import pytest

STUDY = """from safetune_utils.study.design import state

study = state(globals(), prompt_sets=["malicious"])
s = study.settings
print(s.preset, s.max_prompts, s.n_general, s.recipe.epochs)"""


@pytest.mark.slow
@pytest.mark.sample
def test_plain_papermill_reaches_a_parameter_that_the_cell_does_not_show(tmp_path: Path) -> None:
    cells = [
        nbformat.v4.new_code_cell('preset: str = "smoke"', metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell(STUDY),
    ]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    nbformat.write(
        nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), tmp_path / "n.ipynb"
    )
    given = {"max_prompts": 3, "recipe": {"epochs": 5}}
    executed = papermill.execute_notebook(
        str(tmp_path / "n.ipynb"),
        str(tmp_path / "out.ipynb"),
        parameters=given,
        kernel_name="python3",
        progress_bar=False,
    )
    assert executed.cells[-1].outputs[0].text == "smoke 3 4 5\n"
