"""The in-process transformers backend; the only package that imports torch."""
