"""Markup, characters, white space and citations."""
