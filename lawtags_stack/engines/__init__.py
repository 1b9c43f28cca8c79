"""Training and generation: the only home of torch."""
