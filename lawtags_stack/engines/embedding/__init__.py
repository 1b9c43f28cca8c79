"""Text embeddings, computed by an encoder in a worker process."""
