"""Models: how to load them, where they are registered, and their cards."""
