"""Checkpoints of Hugging Face and NeMo: what is in them, and conversion between them, without torch."""
