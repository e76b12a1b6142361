"""The same create in two other frameworks: a scale for ours, in an environment of its own."""
