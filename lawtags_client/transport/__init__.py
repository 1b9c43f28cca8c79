"""How requests travel: the only room that knows httpx, h11 and tenacity."""
