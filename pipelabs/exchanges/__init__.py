"""Exchanges: the registry and what the desk has set for each."""
