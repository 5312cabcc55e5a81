"""A study: which adapters are trained, which prompts they answer, and how that becomes one tidy table."""
