"""The rows of the table that `metrics.py` makes, one module a family of metrics.

The reference is always called by itself on the plain lists: it shares no code with our rows.
"""
