"""Clients and their wallets."""
