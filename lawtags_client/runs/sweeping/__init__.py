"""Sweeps: as many trainings as there are combinations of options, ranked by their validation loss."""
