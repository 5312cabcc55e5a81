"""Instruments, one file each; each takes prompts and responses and returns one score a row, in the same
order.

    score(prompts, responses, *, ...) -> list[Score]

Every instrument's file says what it measures, in which range and direction, and what it does not measure.
"""
