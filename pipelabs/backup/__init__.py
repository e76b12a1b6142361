"""Back up the database with what proves a restore, and verify a restore against that."""
