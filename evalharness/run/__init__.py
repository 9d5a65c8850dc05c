"""Runs: the pipeline, its crash-safe journal, the record and the store."""
