"""The program, and what builds its pages, compile no grammar of web addresses at each start."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

PROGRAM = """import contextlib, sys
sys.argv = ["safetune", "--version"]
from safetune_utils.__main__ import main
with contextlib.suppress(SystemExit):
    main()
import nbformat
print("jsonschema" in sys.modules, "lark" in sys.modules)
"""


@pytest.mark.skipif(not importlib.util.find_spec("lark"), reason="JupyterLab is not installed")
def test_a_command_that_reads_a_notebook_compiles_no_grammar() -> None:
    answer = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert answer.stdout.splitlines()[-1] == "True False"
