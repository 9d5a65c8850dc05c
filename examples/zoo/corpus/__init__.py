"""The zoo's corpus: small invented texts, made from a seed, with test items held out by the hash of their key."""

from corpus.training import Document, training_documents

__all__ = ["Document", "training_documents"]
