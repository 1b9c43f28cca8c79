"""Files that say which tag stands in place of another.

CSV has the header ``synonym,tag``; YAML is a mapping of synonym to tag::

    ip: intellectual-property
    usa: united-states

A tag that is itself a synonym leads on to its own tag; a circle is refused.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from lawtags_client.errors import DataError
from lawtags_client.tagging.vocabulary import normalize_tag

_MOST_BYTES = 8 * 2**20
_HEADER = ["synonym", "tag"]


def load_synonyms(path: str | Path) -> dict[str, str]:
    """Read a file of synonyms.

    Args:
        path: ends in ``.csv``, ``.yaml`` or ``.yml``.

    Returns:
        Synonym to the tag that is meant in the end, both in normal form, in alphabetical order.

    Raises:
        DataError: the file has another form, says two things of one synonym, or goes in a circle.
    """
    path = Path(path)
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise DataError(
                "is too large for a list of synonyms", path=path, hint="Check that it is the right file."
            )
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", path=path, hint="Check the path.") from error
    except UnicodeDecodeError as error:
        raise DataError("is not UTF-8", path=path, hint="Convert it: iconv -t UTF-8") from error
    suffix = path.suffix.lower()
    if suffix == ".csv":
        pairs = _csv_pairs(text, path)
    elif suffix in (".yaml", ".yml"):
        pairs = _yaml_pairs(text, path)
    else:
        raise DataError(
            f"synonyms in files ending in {suffix!r} are not supported",
            path=path,
            hint="Supported: .csv, .yaml, .yml.",
        )
    return _resolve(_normal(pairs, path), path)


def rename_tags(tags: Sequence[str], synonyms: Mapping[str, str]) -> list[str]:
    """The tags with synonyms replaced, each once, in their order.

    Example:
        >>> rename_tags(["ip", "usa", "united-states"], {"usa": "united-states"})
        ['ip', 'united-states']
    """
    return list(dict.fromkeys(synonyms.get(tag, tag) for tag in tags))


def _csv_pairs(text: str, path: Path) -> Iterator[tuple[int, str, str]]:
    reader = csv.reader(text.splitlines(), strict=True)
    try:
        header = next(reader, [])
        if [name.strip().lower() for name in header] != _HEADER:
            raise DataError("has no header 'synonym,tag'", path=path, line=1, hint="Add it as line 1.")
        for values in reader:
            if not values:
                continue
            if len(values) != len(_HEADER):
                raise DataError(
                    f"has {len(values)} fields instead of two",
                    path=path,
                    line=reader.line_num,
                    hint="Write synonym,tag.",
                )
            yield reader.line_num, values[0], values[1]
    except csv.Error as error:
        raise DataError(f"is not valid CSV: {error}", path=path, line=reader.line_num) from error


def _yaml_pairs(text: str, path: Path) -> Iterator[tuple[int, str, str]]:
    import yaml

    try:
        # Nodes rather than values: a mapping would drop what stands in it twice, and lose the lines.
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise DataError(f"is not valid YAML: {error}", path=path) from error
    if root is None:
        return
    if not isinstance(root, yaml.MappingNode):
        raise DataError("is not a mapping", path=path, line=1, hint="Write one 'synonym: tag' per line.")
    for key, value in root.value:
        line = key.start_mark.line + 1
        for node in (key, value):
            if node.tag != "tag:yaml.org,2002:str":
                raise DataError(
                    "contains something other than strings",
                    path=path,
                    line=line,
                    hint="Write 'synonym: tag', in quotes if it looks like a number, yes or no.",
                )
        yield line, key.value, value.value


def _normal(pairs: Iterator[tuple[int, str, str]], path: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for line, synonym, tag in pairs:
        synonym, tag = normalize_tag(synonym), normalize_tag(tag)
        if not synonym or not tag:
            raise DataError("has no tag", path=path, line=line, hint="Write synonym and tag.")
        if found.setdefault(synonym, tag) != tag:
            raise DataError(
                f"gives {synonym!r} two meanings, {found[synonym]!r} and {tag!r}",
                path=path,
                line=line,
                hint="Keep one of them.",
            )
    return found


def _resolve(found: Mapping[str, str], path: Path) -> dict[str, str]:
    resolved = {}
    for synonym in sorted(found):
        way = [synonym]
        while way[-1] in found:
            way.append(found[way[-1]])
            if way[-1] in way[:-1]:
                circle = way[way.index(way[-1]) :]
                raise DataError(
                    f"forms a cycle: {' → '.join(circle)}",
                    path=path,
                    hint="Decide which of them is the tag, and remove its line.",
                )
        resolved[synonym] = way[-1]
    return resolved
