"""Runs: from raw questions to a verdict by a recipe, resumable at every point."""
