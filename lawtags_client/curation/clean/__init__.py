"""Markup, characters, whitespace and citations."""
