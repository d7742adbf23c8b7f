"""A small chat server; the environment chooses its save strategy, framework, database stack and wire."""
