"""API keys as callers send and see them."""
