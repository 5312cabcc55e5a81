"""A study: which adapters are trained, which prompts they answer, and the way from there to one tidy table."""
