"""Training of causal language models on this machine: torch alone, no HTTP, no knowledge of the platform."""
