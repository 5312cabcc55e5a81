"""OpenAI-compatible servers: requests, spending, and replies that are stored."""
