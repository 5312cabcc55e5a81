"""What is printed: signs that steer a terminal are taken out, and nothing is printed in another way."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import safetune_utils
from safetune_utils.terminal import disarmed, plain, say

PACKAGE = Path(safetune_utils.__file__).parent


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J\x1b]52;c;cm0gLXJm\x07ok", "\ufffd[2J\ufffd]52;c;cm0gLXJm\ufffdok"),
        ("done\rnot done", "done not done"),
        ("\x9b31m a\x08b\x7f", "\ufffd31m a\ufffdb\ufffd"),
        ("\u202eabc\u2066", "\ufffdabc\ufffd"),
        ("half \ud83d of one", "half \ufffd of one"),
        ("é 漢字 κ ≤ 🙂", "é 漢字 κ ≤ 🙂"),
    ],
)
def test_no_sign_steers_the_terminal(text: str, shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert plain(text) == disarmed(text) == shown
    say(f"{text}\nnext")
    say(text, error=True)
    assert capsys.readouterr() == (f"{shown}\nnext\n", f"{shown}\n")


def test_a_text_on_one_line_is_on_one_line() -> None:
    assert plain("a\nb\u2028c\vd") == "a b c d"
    assert disarmed("a\nb\u2028c") == "a\nb c"


def prints(tree: ast.AST) -> list[str]:
    """Calls that write to the terminal, and captions of progress bars that are not made plain."""
    found = []
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        name = ast.unparse(call.func)
        if name == "print" or name.endswith(
            (".echo", ".secho", "stdout.write", "stderr.write", "tqdm.write")
        ):
            found.append(name)
        captions = [ast.unparse(one.value) for one in call.keywords if one.arg == "desc"]
        found += [one for one in captions if not one.startswith("plain(")]
    return found


def test_nothing_is_printed_in_another_way() -> None:
    for path in PACKAGE.rglob("*.py"):
        if path != PACKAGE / "terminal.py":
            assert prints(ast.parse(path.read_text("utf-8"))) == [], path
    assert prints(ast.parse("print(1); typer.echo(a); sys.stderr.write(b); tqdm(desc=c)")) == [
        "print",
        "typer.echo",
        "sys.stderr.write",
        "c",
    ]
