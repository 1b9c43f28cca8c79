"""Deployments, providers of models, and the gateway in front of them."""
