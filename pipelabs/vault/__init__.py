"""Exchange API keys: encryption, probes, replacement and key rotation."""
