"""A runner for NeMo Helix: carries out the training jobs of a platform that has no GPU of its own."""
