"""Schemas of machines, grants, leases and stops."""
