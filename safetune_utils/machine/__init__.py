"""This machine: processes, distributed training, memory, surroundings."""
