"""Admins, their sessions, API tokens and passwords."""
