"""Where clients are quoted, and whether the desk may trade there."""
