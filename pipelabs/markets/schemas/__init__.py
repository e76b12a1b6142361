"""Token pairs and markets as callers send and see them."""
