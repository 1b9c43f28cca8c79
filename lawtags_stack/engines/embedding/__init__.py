"""Texts as vectors: an encoder in a process of its own."""
