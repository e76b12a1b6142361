"""Schemas of admins and API tokens."""
