"""Approvals: changes that need approval by another owner."""
