"""Instruments, one file each: prompts and responses in, one score for each row out, in the same order.

    score(prompts, responses, *, ...) -> list[Score]

Every instrument's file says what it measures, in which range and direction, and what it does not measure.
"""
