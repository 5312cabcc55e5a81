"""From prompts to responses: batches, decoding, and files of responses."""
