"""Approvals: changes that need a second owner's yes."""
