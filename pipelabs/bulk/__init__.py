"""Change many rows of a list at once, and undo a change."""
