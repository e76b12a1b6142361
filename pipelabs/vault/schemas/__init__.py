"""Schemas of exchange API keys."""
