"""Machines: engines' hosts, what proves their identity, and the keys that they may hold."""
