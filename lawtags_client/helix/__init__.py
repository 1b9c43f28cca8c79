"""A typed asynchronous client for NVIDIA NeMo Helix; :class:`lawtags_client.helix.client.Helix`."""
