"""Examine an installation: its settings, its database, its secrets, its audit trail."""
