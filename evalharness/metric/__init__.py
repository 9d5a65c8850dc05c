"""Metrics: a row of statistics a sample, and the value of their sums.

`registry` names and builds them, `base` is their contract, `summary` turns rows into a value with its interval; the other
modules hold one family each.
"""
