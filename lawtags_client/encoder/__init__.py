"""Sentence embeddings: which encoder there is, its vectors, and a cache of them.

Importing this package is cheap; torch and transformers are imported when the first text is embedded.
"""
