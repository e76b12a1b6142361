"""Activity: the audit trail in plain words, for people."""
