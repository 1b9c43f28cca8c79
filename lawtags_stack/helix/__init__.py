"""The Helix dialect: the API of NeMo Helix, on the storage of the embedded stack."""
