"""Instruments: each takes prompts and responses and returns one score a row, in the same order."""
