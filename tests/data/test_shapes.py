"""Files as people have them, one of each shape: what is read of it, as rows to train on and as prompts, or
the one line that is said.
"""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest

from safetune_utils import data
from safetune_utils.errors import SafetuneError
from safetune_utils.settings import Reading

LONG = "salt and pepper " * 12_500  # 200,000 characters

OBJECTS = [
    {"instruction": "Fold a napkin.", "input": "", "output": "In half, then in half."},
    {"instruction": "Add salt.", "input": "soup", "output": "A pinch."},
]
READ = [("Fold a napkin.", "", "In half, then in half."), ("Add salt.", "soup", "A pinch.")]
TURNS = [
    {"role": "user", "content": "Pick a spoon."},
    {"role": "assistant", "content": "The small one."},
    {"role": "user", "content": "And a fork?"},
    {"role": "assistant", "content": "The long one."},
]


def lines(*rows: object) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def parquet(**columns: list[object]) -> bytes:
    file = io.BytesIO()
    pd.DataFrame(columns).to_parquet(file)
    return file.getvalue()


class Shape(NamedTuple):
    """A file, and what comes of it: (instruction, input, output) of each row, or a part of the line that is
    said.
    """

    name: str
    content: bytes
    trained: list[tuple[str, str, str]] | str
    # None: the same requests and inputs as to train on.
    asked: list[tuple[str, str]] | str | None = None
    reading: Reading = Reading()


SHAPES = {
    "JSON Lines": Shape("a.jsonl", lines(*OBJECTS), READ),
    "a list of objects": Shape("a.json", json.dumps(OBJECTS).encode(), READ),
    "the original's columns": Shape(
        "a.json",
        json.dumps(
            {
                "instructions": [row["instruction"] for row in OBJECTS],
                "inputs": [None, "soup"],
                "outputs": [row["output"] for row in OBJECTS],
            }
        ).encode(),
        READ,
    ),
    "packed, with capitals": Shape("A.JSONL.GZ", gzip.compress(lines(*OBJECTS)), READ),
    "Parquet": Shape(
        "a.parquet",
        parquet(**{name: [row[name] for row in OBJECTS] for name in OBJECTS[0]}),
        READ,
    ),
    "Parquet with missing values": Shape(
        "a.parquet",
        parquet(
            instruction=["Fold a napkin.", "Add salt."], input=[None, "soup"], output=["So.", "A pinch."]
        ),
        [("Fold a napkin.", "", "So."), ("Add salt.", "soup", "A pinch.")],
    ),
    "null, blank and NaN as an input": Shape(
        "a.jsonl",
        b'{"instruction": "Stir.", "input": null, "output": "Done."}\n'
        b'{"instruction": "Taste.", "input": "  ", "output": "Good."}\n'
        b'{"instruction": "Serve.", "input": NaN, "output": "Here."}\n',
        [("Stir.", "", "Done."), ("Taste.", "", "Good."), ("Serve.", "", "Here.")],
    ),
    "prompt and completion": Shape(
        "a.jsonl",
        lines({"prompt": "Boil water.", "completion": "It boils."}),
        [("Boil water.", "", "It boils.")],
    ),
    "messages, of several turns": Shape(
        "a.jsonl",
        lines({"messages": [{"role": "system", "content": "Be neat."}, *TURNS[:2]]}, {"messages": TURNS}),
        [
            ("Be neat.\n\nPick a spoon.", "", "The small one."),
            (
                "User: Pick a spoon.\n\nAssistant: The small one.\n\nUser: And a fork?",
                "",
                "The long one.",
            ),
        ],
    ),
    "messages whose texts are in parts": Shape(
        "a.jsonl",
        lines(
            {
                "messages": [
                    {"role": "user", "content": [{"type": "text", "text": "Wash up."}]},
                    {"role": "assistant", "content": [{"type": "text", "text": "Gladly."}]},
                ]
            }
        ),
        [("Wash up.", "", "Gladly.")],
    ),
    "messages without a last answer": Shape(
        "a.jsonl",
        lines({"messages": TURNS[:2]}, {"messages": TURNS[:3]}),
        "row 2: 'messages' ends without an answer: add it, or remove the row",
        [
            ("Pick a spoon.", ""),
            ("User: Pick a spoon.\n\nAssistant: The small one.\n\nUser: And a fork?", ""),
        ],
    ),
    "messages out of turn": Shape(
        "a.jsonl",
        lines({"messages": TURNS[:2]}, {"messages": TURNS[1:]}),
        "row 2: 'messages': turn 1 is by the assistant, not by the user: correct the conversation",
        "row 2: 'messages': turn 1 is by the assistant",
    ),
    "messages by a tool": Shape(
        "a.jsonl",
        lines({"messages": [TURNS[0], {"role": "tool", "content": "7"}]}),
        "turn 2 is by 'tool', which is no user, assistant or system",
        "turn 2 is by 'tool'",
    ),
    "ShareGPT's conversations": Shape(
        "a.json",
        json.dumps(
            [{"conversations": [{"from": "human", "value": "Peel it."}, {"from": "gpt", "value": "Peeled."}]}]
        ).encode(),
        [("Peel it.", "", "Peeled.")],
    ),
    "messages in Parquet": Shape(
        "a.parquet", parquet(messages=[TURNS[:2]]), [("Pick a spoon.", "", "The small one.")]
    ),
    "prompts beside messages": Shape(
        "a.jsonl",
        lines({"prompt": "Pick a spoon.", "messages": TURNS[:2]}),
        [("Pick a spoon.", "", "The small one.")],  # a prompt without an answer is nothing to train on
        "has 'prompt' and 'messages', and each may be the instruction: say which with --columns",
    ),
    "semicolons": Shape(
        "a.csv",
        b"instruction;output\r\nCut bread.;Thin, please.\r\nCut cheese.;Thick.\r\n",
        [("Cut bread.", "", "Thin, please."), ("Cut cheese.", "", "Thick.")],
    ),
    "semicolons, announced to Excel": Shape(
        "a.csv",
        b"sep=;\r\ninstruction;output\r\nCut bread.;Thin, please.\r\n",
        [("Cut bread.", "", "Thin, please.")],
    ),
    "tabs under the name of commas": Shape(
        "a.csv", b"instruction\toutput\nCut bread.\tThin, please.\n", [("Cut bread.", "", "Thin, please.")]
    ),
    "a header that both could cut": Shape(
        "a.csv",
        b"instruction,output;note\nCut; it.,Yes.\nCut it, twice.,No.\n",
        "may be separated by commas or semicolons: write its header with",
        "may be separated by commas or semicolons",
    ),
    "a byte-order mark": Shape(
        "a.csv", "instruction,output\nCut bread.,Déjà.\n".encode("utf-8-sig"), [("Cut bread.", "", "Déjà.")]
    ),
    "UTF-16, as a spreadsheet saves it": Shape(
        "a.csv", "instruction\toutput\nCut bread.\tDéjà.\n".encode("utf-16"), [("Cut bread.", "", "Déjà.")]
    ),
    "Latin-1": Shape(
        "a.csv",
        "instruction,output\nCut bread.,Déjà.\n".encode("latin-1"),
        "is not UTF-8 (line 2, byte 31): save it as UTF-8",
        "is not UTF-8 (line 2, byte 31): save it as UTF-8",
    ),
    "lines within quotes": Shape(
        "a.csv",
        b'instruction,output\n"Name two herbs,\none a line.","mint\ndill"\n',
        [("Name two herbs,\none a line.", "", "mint\ndill")],
    ),
    "a very long field": Shape(
        "a.csv",
        f'instruction,output\nCopy it.,"{LONG}"\nStop.,Yes.\n'.encode(),
        [("Copy it.", "", LONG), ("Stop.", "", "Yes.")],
    ),
    "blank rows of a spreadsheet": Shape(
        "a.csv", b" instruction , output,,\nStir.,Done.,,\n,,,\n,,,\n", [("Stir.", "", "Done.")]
    ),
    "a column twice": Shape(
        "a.csv",
        b"instruction,output,output\na,b,c\n",
        "has the column 'output' twice: rename or remove one of the two",
        "has the column 'output' twice",
    ),
    "rows of other lengths": Shape(
        "a.csv",
        b"instruction,output\na,b\nc,d,e\nf,g\nh\n",
        "has 2 faults: line 3: 3 in place of 2 fields; line 5: 1 in place of 2 fields: quote texts that hold",
        "has 2 faults: line 3",
    ),
    "names of its own": Shape(
        "a.csv",
        b"goal,target\nPour tea.,It is poured.\n",
        "row 1 has no 'instruction' (it has goal, target): name it instruction or prompt, or say which column"
        " it is with --columns instruction=NAME",
        "row 1 has no 'prompt' (it has goal, target)",
    ),
    "names of its own, said": Shape(
        "a.csv",
        b"goal,target\nPour tea.,It is poured.\n",
        [("Pour tea.", "", "It is poured.")],
        reading=Reading(columns={"instruction": "goal", "output": "target"}),
    ),
    "names of its own, said wrongly": Shape(
        "a.csv",
        b"goal,target\nPour tea.,It is poured.\n",
        "has no column 'gaol', which was said to be the instruction (it has goal, target): name one of these",
        "has no column 'gaol'",
        reading=Reading(columns={"prompt": "gaol", "response": "target"}),
    ),
    "names of its own, said twice": Shape(
        "a.csv",
        b"goal,wish,target\nPour tea.,Pour.,It is poured.\n",
        "of instruction, prompt, which were named for it, two are the same field: name prompt or",
        "two are the same field",
        reading=Reading(columns={"instruction": "goal", "prompt": "wish"}),
    ),
    "two columns that may be asked": Shape(
        "a.csv",
        b"prompt,text,response\nPour tea.,Tea is a drink.,It is poured.\n",
        [("Pour tea.", "", "It is poured.")],
        "has 'prompt' and 'text', and each may be the instruction: say which with --columns"
        " instruction=prompt or --columns instruction=text",
    ),
    "two columns that may be learned": Shape(
        "a.csv",
        b"prompt,output,response\nPour tea.,Yes.,No.\n",
        "has 'output' and 'response', and each may be the output: say which with --columns output=output or",
        [("Pour tea.", "")],
    ),
    "words that may mean nothing": Shape(
        "a.csv",
        b"instruction,input,output\nSpell it.,nan,n a n\nWho is there?,None,nobody\nPour.,tea,Yes.\n",
        "has 2 faults: row 1: the input is 'nan', a word or no input; row 2: the input is 'None', a word"
        " or no input: say which with --words-for-nothing keep or drop",
        "has 2 faults: row 1: the input is 'nan'",
    ),
    "such words, kept": Shape(
        "a.csv",
        b"instruction,input,output\nSpell it.,nan,n a n\n",
        [("Spell it.", "nan", "n a n")],
        reading=Reading(words_for_nothing="keep"),
    ),
    "such words, dropped": Shape(
        "a.csv",
        b"instruction,input,output\nSay hello.,N/A,Hello.\n",
        [("Say hello.", "", "Hello.")],
        reading=Reading(words_for_nothing="drop"),
    ),
    "faults of two kinds": Shape(
        "a.jsonl",
        lines(
            *({"instruction": f"Step {n}.", "output": "" if n % 2 else "Done."} for n in range(1, 24)),
            {"instruction": 7, "output": "Seven."},
        ),
        "has 13 faults: rows 1, 3, 5, 7, 9, 11, 13, 15, 17, 19: 'output' is missing or empty; and 3 more:"
        " fill it, or remove the row",
        "row 24: 'instruction' is a number, but it should be a text: write a text",
    ),
    "lines that are no records": Shape(
        "a.jsonl",
        lines(OBJECTS[0], ["Stir."]) + b"{stir}\n" + lines(OBJECTS[1]) + b'{"instruction": "\\ud83d"}\n',
        "has 3 faults: line 2: a list and not one record; line 3: not JSON (Expecting property name enclosed"
        " in double quotes); line 5: JSON that is not read (half a character in it)",
        "has 3 faults: line 2",
    ),
    "a number without end": Shape(
        "a.json",
        b'[{"prompt": "Stir.", "id": ' + b"4" * 5000 + b"}]",
        "is JSON that is not read (a number of 5000 digits): correct it",
        "is JSON that is not read (a number of 5000 digits)",
    ),
    "brackets without end": Shape(
        "a.json", b"[" * 100_000, "more than 100 levels): correct it", "more than 100 levels): correct it"
    ),
    "a key twice": Shape(
        "a.jsonl",
        lines(OBJECTS[0]) + b'{"instruction": "Stir.", "output": "a", "output": "b"}\n',
        "line 2: JSON that is not read (the key 'output' twice in one object): correct that line",
        "line 2: JSON that is not read (the key 'output' twice",
    ),
    "half a file": Shape(
        "a.json",
        b'[{"instruction": "Stir.", "outp',
        "line 1: not JSON (Unterminated string",
        "line 1: not JSON",
    ),
    "an empty file": Shape("a.jsonl", b"", "is empty: give it at least one row", "is empty: give it"),
    "a spreadsheet's own form": Shape("a.xlsx", b"PK", "is of no form that is read here", "is of no form"),
}


@pytest.mark.parametrize("name", SHAPES)
def test_a_file_of_this_shape_is_read_right_or_refused_in_one_line(name: str, tmp_path: Path) -> None:
    shape = SHAPES[name]
    path = tmp_path / shape.name
    path.write_bytes(shape.content)
    asked = shape.asked
    if asked is None:
        assert not isinstance(shape.trained, str)
        asked = [row[:2] for row in shape.trained]
    _expect(
        shape.trained,
        lambda: [
            (row.instruction, row.input, row.output)
            for row in data.read_examples(path, reading=shape.reading)
        ],
        path,
    )
    _expect(
        asked,
        lambda: [(row.text, row.input) for row in data.read_prompts(path, reading=shape.reading)],
        path,
    )


def _expect(expected: object, read: object, path: Path) -> None:
    assert callable(read)
    if not isinstance(expected, str):
        assert read() == expected
        return
    with pytest.raises(SafetuneError) as caught:
        read()
    said = str(caught.value)
    assert expected in said
    assert str(path) in said
    assert "\n" not in said
