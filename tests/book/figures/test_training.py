"""Figures about training: one line an adapter, one panel for each thing that was varied."""

from __future__ import annotations

import pandas as pd
from drawn import frame, keys, words
from matplotlib.figure import Figure as Canvas

from safetune_utils.book import figures
from safetune_utils.book.figures.palette import SEQUENCE


def test_losses_are_the_validation_losses_of_each_adapter_over_its_steps(canvases: list[Canvas]) -> None:
    losses = pd.DataFrame(
        {
            "n_safety": [0, 0, 0, 5, 5],
            "seed": 0,
            "step": [1, 2, 3, 1, 2],
            "train_loss": [9.0, 8.0, 7.0, 6.0, 5.0],
            "validation_loss": [3.0, None, 1.5, 2.25, 2.5],
        }
    )
    drawn = figures.loss_curves(losses, name="l", caption="c")
    assert "0 safety examples, seed 0: from 3.00 to 1.50, lowest 1.50" in drawn.alt
    assert "5 safety examples, seed 0: from 2.25 to 2.50, lowest 2.25" in drawn.alt
    axes = canvases[0].axes[0]
    lines = {
        line.get_label(): [list(values) for values in line.get_data()]
        for line in axes.lines
        if line.get_gid() != "key"
    }
    assert lines == {"0 safety examples": [[1, 3], [3.0, 1.5]], "5 safety examples": [[1, 2], [2.25, 2.5]]}
    assert keys(axes) == ["5 safety examples", "0 safety examples"]  # from the top, as the lines end
    assert frame(axes) == ("optimiser steps", "validation loss (nats a token)", True, True)
    two = figures.loss_curves(
        losses.assign(n_safety=5, seed=[0, 0, 0, 1, 1]), name="l", caption="c", of="answers"
    )
    assert "5 answers, seed 0: from 3.00" in two.alt
    assert keys(canvases[1].axes[0]) == ["5 answers"]  # the seeds of an amount have one name


def test_growth_has_a_panel_for_each_thing_that_was_varied_from_zero_up(canvases: list[Canvas]) -> None:
    points = pd.DataFrame(
        {
            "what": ["training", "training", "answering"],
            "over": ["rows", "rows", "threads"],
            "at": [8, 2, 1],
            "tokens_per_second": [900.0, 400.0, 50.0],
        }
    )
    drawn = figures.growth(points, name="g", caption="c")
    assert "training over rows: 400 at 2, 900 at 8; answering over threads: 50 at 1" in drawn.alt
    training, answering = (canvas.axes[0] for canvas in canvases)
    assert [list(values) for values in training.lines[0].get_data()] == [[2, 8], [400.0, 900.0]]
    assert frame(training) == ("rows", "real tokens/s", True, True)
    assert frame(answering) == ("threads", "real tokens/s", True, True)
    assert [axes.get_title() for axes in (training, answering)] == ["training", "answering"]
    assert drawn.caption == "c"
    assert {line.get_marker() for line in (*training.lines, *answering.lines)} == {"o"}
    assert training.get_ylim()[1] > 1000  # room above the highest
    assert {line.get_color() for axes in (training, answering) for line in axes.lines} == {SEQUENCE[0].drawn}
    assert training.get_ylim()[0] == answering.get_ylim()[0] == 0
    assert (training.get_xscale(), words(training.get_xticklabels())) == ("log", ["2", "8"])
