"""Training, generation and embedding engines: the only package that imports torch."""
