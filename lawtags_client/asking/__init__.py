"""Questions put to a model: how texts and prompts are made, how answers become tags."""
