"""Base models, the embedded one and any other: their architecture, their faults, their adapters, the prompt
template.
"""
