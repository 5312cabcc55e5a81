"""This machine: subprocesses, distributed training, memory, and what a record says of it."""
