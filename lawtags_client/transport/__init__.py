"""How requests travel: the only room that knows httpx and aiohttp."""
