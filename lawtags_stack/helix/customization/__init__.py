"""Customization jobs: automodel, unsloth and rl, compiled to steps that a runner carries out."""
