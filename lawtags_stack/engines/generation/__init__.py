"""Text generation on the CPU: one causal language model, many LoRA adapters, requests batched together.

The room knows nothing of HTTP. ``request`` holds what is asked and answered, ``engine`` does the work with
torch, ``worker`` runs an engine in a process of its own and ``frames`` is how one talks to it. Importing the
package imports none of torch.
"""
