"""Write the reference page and the JSON schema of recipes, from the classes that read them.

    python scripts/write_recipe_reference.py

``tests/unit/runs/test_recipe_reference.py`` checks that both are up to date.
"""

from __future__ import annotations

import json
from pathlib import Path

from lawtags_client.files import atomic_write_text
from lawtags_client.runs.recipe_reference import reference_page
from lawtags_client.runs.recipe_schema import recipe_schema

FOLDER = Path(__file__).parent.parent / "docs" / "reference"

if __name__ == "__main__":
    atomic_write_text(FOLDER / "recipe.md", reference_page())
    atomic_write_text(FOLDER / "recipe.schema.json", json.dumps(recipe_schema(), indent=2) + "\n")
