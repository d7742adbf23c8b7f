"""A small chat server; the environment chooses its save strategy, database stack and wire."""
