"""Wire models of NeMo Helix 0.8, one module per service."""
