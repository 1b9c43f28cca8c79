"""Conversations as a model reads them: chat templates, tools, and calls of them in an answer."""
