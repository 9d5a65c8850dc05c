"""Backends: who answers requests."""
