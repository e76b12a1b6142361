"""Fields, pages and the envelopes that every schema shares."""
