"""Exchanges: the registry, and the settings of the desk."""
