"""Clean up markup, characters, whitespace and citations."""
