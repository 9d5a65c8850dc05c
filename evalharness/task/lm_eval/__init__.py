"""Tasks written for lm-evaluation-harness, read unmodified."""
