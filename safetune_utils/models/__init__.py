"""Base models: the embedded one and any other, their architecture, the prompt template."""
