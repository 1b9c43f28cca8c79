"""The text of a recipe: what stands in it, and in which line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from lawtags_client.errors import ConfigurationError, RecipeError
from lawtags_client.json_value import JsonRow

_LONGEST = 1 << 20
_MOST_NODES = 50_000

Location = tuple[int | str, ...]
"""Keys and indices that lead to a value."""


@dataclass(frozen=True, slots=True)
class RecipeText:
    """A file with a recipe.

    Args:
        path: of the file.
        text: its content.
        root: the YAML nodes; None for an empty file.
    """

    path: Path
    text: str
    root: yaml.Node | None

    @classmethod
    def read(cls, path: Path) -> RecipeText:
        """Read a file.

        Raises:
            ConfigurationError: it is too large, or is not YAML.
            RecipeError: it has keys twice.
        """
        if path.stat().st_size > _LONGEST:
            raise ConfigurationError(
                f"{path} has {path.stat().st_size} bytes, which is no recipe", hint="Pass another file."
            )
        try:
            text = path.read_text(encoding="utf-8-sig")
            root = yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.MarkedYAMLError as problem:
            line = f":{problem.problem_mark.line + 1}" if problem.problem_mark else ""
            raise ConfigurationError(
                f"{path}{line}: not a YAML file: {problem.problem or problem.context}",
                hint="Check indentation, quotes and colons of this line and the one above.",
            ) from None
        except (yaml.YAMLError, ValueError, RecursionError) as problem:
            raise ConfigurationError(f"{path}: not a YAML file: {problem}", hint=_HINT) from None
        if _size(root, {}) > _MOST_NODES:
            raise ConfigurationError(
                f"{path}: its aliases stand for more than {_MOST_NODES:,} values, or for themselves",
                hint="Write the values out.",
            )
        found = cls(path, text, root)
        if repeated := sorted(_repeated(root)):
            raise RecipeError(
                [
                    f"{path}:{number}: {key} is there twice; it is in line {first}, too"
                    for number, key, first in repeated
                ],
                hint="YAML would take the last one. Remove one of them.",
            )
        return found

    def content(self) -> JsonRow:
        """The mapping in it.

        Raises:
            ConfigurationError: it is something else.
        """
        try:
            content = yaml.safe_load(self.text)
        except yaml.MarkedYAMLError as problem:
            # Such as a list in place of a key, which only reading the values shows.
            line = f":{problem.problem_mark.line + 1}" if problem.problem_mark else ""
            raise ConfigurationError(
                f"{self.path}{line}: not a YAML file: {problem.problem or problem.context}", hint=_HINT
            ) from None
        except (yaml.YAMLError, ValueError, RecursionError) as problem:
            raise ConfigurationError(f"{self.path}: not a YAML file: {problem}", hint=_HINT) from None
        if content is None:
            raise ConfigurationError(f"{self.path}: the file is empty", hint=_HINT)
        if not isinstance(content, dict):
            raise ConfigurationError(
                f"{self.path}: a recipe must be a mapping, not {type(content).__name__}", hint=_HINT
            )
        return content

    def place(self, location: Sequence[int | str] = ()) -> str:
        """File and line of a value, or of the innermost section around it that is there."""
        line = self.line(location)
        return f"{self.path}:{line}" if line is not None else str(self.path)

    def line(self, location: Sequence[int | str]) -> int | None:
        """The line of a value's key, or of the innermost section around it; None for the whole file."""
        position = self.position(location)
        return position[0] if position is not None else None

    def position(self, location: Sequence[int | str]) -> tuple[int, int] | None:
        """Line and column of a value's key, or of the innermost section around it; None for the file."""
        node, position = self.root, None
        for part in location:
            found = _child(node, part)
            if found is None:
                break
            key, node = found
            position = key.start_mark.line + 1, key.start_mark.column
        return position


_HINT = "See the key reference, or begin with: lawtags recipe new FILE"


def _child(node: yaml.Node | None, part: int | str) -> tuple[yaml.Node, yaml.Node] | None:
    """The node of a key, and that of its value; of an entry of a list, its value twice."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value == str(part):
                return key, value
        for key, value in node.value:
            if key.tag.endswith(":merge"):
                others = value.value if isinstance(value, yaml.SequenceNode) else [value]
                if found := next(filter(None, (_child(other, part) for other in others)), None):
                    return found
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        value = node.value[part]
        return value, value
    return None


def _size(node: yaml.Node | None, known: dict[int, int]) -> int:
    """How many values a node stands for, with those of its aliases; one that holds itself has too many."""
    if not isinstance(node, yaml.CollectionNode):
        return 1
    if id(node) not in known:
        known[id(node)] = _MOST_NODES + 1
        children = (
            child for entry in node.value for child in (entry if isinstance(entry, tuple) else (entry,))
        )
        known[id(node)] = 1 + sum(_size(child, known) for child in children)
    return known[id(node)]


def _repeated(root: yaml.Node | None) -> Iterator[tuple[int, str, int]]:
    """Line, name and first line of each key that a mapping has twice."""
    # An alias is the same node again: each is visited once, or a few lines could take forever.
    waiting, seen = [root] if root is not None else [], set()
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting += node.value
        elif isinstance(node, yaml.MappingNode):
            lines: dict[str, int] = {}
            for key, value in node.value:
                waiting.append(value)
                if not isinstance(key, yaml.ScalarNode) or key.tag.endswith(":merge"):
                    continue
                line = key.start_mark.line + 1
                if key.value in lines:
                    yield line, key.value, lines[key.value]
                lines.setdefault(key.value, line)
