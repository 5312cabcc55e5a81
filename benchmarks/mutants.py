"""Change the code in one place at a time, and see whether a test fails: do the tests hold what the code does?

    make mutants                            # 90 minutes at most; the next call goes on where it stopped
    python benchmarks/mutants.py --first 10 # only the first ten of the sample

mutmut makes the mutants, finds for each the tests that run its function, and keeps the results in
``mutants/``. Which files are changed, and which tests are run, stands in pyproject.toml under
``tool.mutmut``; the kinds of change and the sample stand here. A mutant that lives is looked at with
``mutmut show NAME``.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from mutmut import __main__ as mutmut
from mutmut.mutation.mutators import mutation_operators
from mutmut.stats import status_by_exit_code

# What is changed: numbers, True and False, operators and comparisons, arguments, branches. Not the wording of
# texts, whose tests would only say it again, and not whole values turned into None, which nearly always ends
# in an error and is found by any test.
OPERATORS = {
    "operator_number",
    "operator_name",
    "operator_swap_op",
    "operator_augmented_assignment",
    "operator_remove_unary_ops",
    "operator_keywords",
    "operator_arg_removal",
    "operator_dict_arguments",
    "operator_if_exp",
}
SAMPLE, SEED = 300, 0
MINUTES, PROCESSES = 90, 2
LIVES = {code for code, what in status_by_exit_code.items() if what in ("survived", "no tests")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--first", type=int, default=SAMPLE, help="only so many of the sample")
    parser.add_argument("--again", action="store_true", help="those that lived too: the tests have changed")
    given = parser.parse_args()
    operators = cast(list[Any], mutation_operators)  # changed in place: mutmut reads it itself
    operators[:] = [pair for pair in operators if pair[1].__name__ in OPERATORS]
    _generate()
    names = sorted(name for name, _ in _results())
    chosen = sorted(names, key=_drawn)[:SAMPLE][: given.first]
    known = dict(_results())
    undone = {None, *(LIVES if given.again else ())}
    left = [name for name in chosen if known[name] in undone]
    if given.again:  # tests that are new are not known to mutmut yet
        Path("mutants/mutmut-stats.json").unlink(missing_ok=True)
    if left:
        signal.signal(signal.SIGALRM, _stop)
        signal.alarm(MINUTES * 60)
        mutmut._run(left, PROCESSES)
        signal.alarm(0)
    known = dict(_results())
    counts = Counter(status_by_exit_code[known[name]] for name in chosen)
    print(f"{len(chosen)} of {len(names)} mutants:", ", ".join(f"{n} {what}" for what, n in counts.items()))
    for name in sorted(name for name in chosen if known[name] in LIVES):
        print(f"lives: {name}")


def _drawn(name: str) -> str:
    """A mutant's place in the draw; a change of the code draws anew in the functions that it changed only."""
    return hashlib.sha256(f"{SEED} {name}".encode()).hexdigest()


def _generate() -> None:
    """Copy the package and its tests to ``mutants/``, and make the mutants of files that have changed."""
    os.makedirs("mutants", exist_ok=True)
    mutmut.set_mutant_under_test("mutant_generation")
    mutmut.copy_src_dir()
    mutmut.copy_also_copy_files()
    mutmut.create_mutants(PROCESSES)


def _results() -> Iterator[tuple[str, int | None]]:
    """Every mutant with the exit status of its tests; ``None`` where they were not run."""
    mutants, _ = mutmut.collect_source_file_mutation_data(mutant_names=())
    return ((name, status) for _, name, status in mutants)


def _stop(*_: Any) -> None:
    raise KeyboardInterrupt  # mutmut keeps what it has and stops


if __name__ == "__main__":
    main()
