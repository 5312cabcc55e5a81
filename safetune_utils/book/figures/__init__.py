"""The book's kinds of figure, each in light and dark, with alt text made from its data and that data as CSV.

A figure is an object that a notebook shows by naming it last in a cell. It carries everything inside itself
(images, alt text, CSV), so a page shows it with no other file and no network.
"""

from safetune_utils.book.figures.data import funnel, set_shape
from safetune_utils.book.figures.figure import Figure, panels
from safetune_utils.book.figures.instruments import agreement_matrix, calibration, scatter, win_rates
from safetune_utils.book.figures.shares import by_kind, dose_response, dumbbells, transfer_matrix
from safetune_utils.book.figures.trade_offs import frontier, trade_off
from safetune_utils.book.figures.training import growth, loss_curves

__all__ = [
    "Figure",
    "agreement_matrix",
    "by_kind",
    "calibration",
    "dose_response",
    "dumbbells",
    "frontier",
    "funnel",
    "growth",
    "loss_curves",
    "panels",
    "scatter",
    "set_shape",
    "trade_off",
    "transfer_matrix",
    "win_rates",
]
