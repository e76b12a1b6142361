"""Exchange API keys: encrypted, examined, replaced and rotated."""
