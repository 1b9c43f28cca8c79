"""Training of causal language models: only torch, no HTTP, no platform."""
