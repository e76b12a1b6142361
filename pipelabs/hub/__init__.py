"""One client on one page: where it is quoted, what is wrong, and what onboarding still needs."""
