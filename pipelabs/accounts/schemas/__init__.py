"""Admins and API tokens as callers send and see them."""
