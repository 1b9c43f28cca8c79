"""Put a folder of curated rows on the platform.

Example: python jobs/upload.py curated law/questions
"""

from __future__ import annotations

import argparse
from pathlib import Path

from lawtags_client import NeMo
from lawtags_client.cli.session import script


async def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="holds training/, validation/ and perhaps testing/")
    parser.add_argument("dataset", help="namespace/name")
    parser.add_argument("--profile", help="profile of lawtags.toml")
    given = parser.parse_args()
    async with NeMo.from_env(given.profile) as nemo:
        dataset = await nemo.data_store.upload_dataset(given.dataset, given.folder)
    print(dataset.name, dataset.files_url, dataset.digest)


if __name__ == "__main__":
    script(main)
