"""Tasks: what a person writes in YAML, and what the machine asks for it."""
