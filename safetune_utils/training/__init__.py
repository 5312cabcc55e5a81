"""From a mix to an adapter: the training loop, checkpoints, rows that share a beginning, reference loss."""
