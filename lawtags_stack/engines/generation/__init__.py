"""Text generation: one causal language model, many LoRA adapters, batched requests.

The package knows nothing about HTTP. ``request`` has the request and answer types, ``engine`` computes with
torch, and ``worker`` runs an engine in a separate process. Importing the package does not import torch.
"""
