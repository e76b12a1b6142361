"""Figures across domains."""
