"""Metrics: a row of statistics a sample, and the value of their sums."""
