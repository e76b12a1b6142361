"""Fields, pagination and envelopes that every schema shares."""
