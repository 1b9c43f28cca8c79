"""One HTTP application per port, and who may call it."""
