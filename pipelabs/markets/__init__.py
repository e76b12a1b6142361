"""Token pairs, markets, and which client is quoted where."""
