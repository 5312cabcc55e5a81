"""OpenAI-compatible servers: requests, spending, replies that are kept."""
