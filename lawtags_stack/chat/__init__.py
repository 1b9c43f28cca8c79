"""Conversations in the form a model reads: chat templates, tools, and tool calls in answers."""
