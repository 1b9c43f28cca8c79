"""Checks that the cost of rendering a chat template is proportional to its output."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import nodes

# Filters whose output is no longer than their input.
_METHODS = frozenset({"strip", "lstrip", "rstrip", "startswith", "endswith", "split", "items", "get"})
_FILTERS = frozenset({"trim", "tojson", "length", "upper", "lower", "first", "last", "list", "string"})
_FUNCTIONS = frozenset({"raise_exception", "namespace"})
_DEEPEST_LOOP = 3
_SHORT = frozenset(
    {"loop", "bos_token", "eos_token", "pad_token", "unk_token", "add_generation_prompt", "raise_exception"}
)


@lru_cache(maxsize=64)
def is_bounded(template: str) -> bool:
    """Whether a template can be rendered without limits on time and memory.

    The check is conservative: it may reject a safe template, but never accepts one that repeats, pads,
    doubles or recurses, or that renders the same text in each iteration of a loop.

    Args:
        template: a chat template; its syntax may be invalid.
    """
    from jinja2 import Environment, TemplateError
    from jinja2.ext import loopcontrols

    try:
        tree = Environment(extensions=[loopcontrols]).parse(template)
        return all(_is_plain(node) for node in _below(tree)) and _loops_are_plain(tree, frozenset(), 0)
    except (TemplateError, RecursionError):
        return False


def _below(tree: nodes.Node) -> list[nodes.Node]:
    from jinja2 import nodes

    return list(tree.find_all(nodes.Node))


def _is_plain(node: nodes.Node) -> bool:
    from jinja2 import nodes

    simple = (
        nodes.Output, nodes.TemplateData, nodes.For, nodes.If, nodes.Name, nodes.NSRef, nodes.Const,
        nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.Getattr, nodes.Getitem,
        nodes.Slice, nodes.Test, nodes.CondExpr, nodes.Keyword, nodes.Neg, nodes.Concat, nodes.Add, nodes.Sub,
        nodes.Break, nodes.Continue, nodes.Tuple, nodes.List,
    )  # fmt: skip
    if isinstance(node, nodes.Assign):  # text appended to itself may double repeatedly
        return not list(node.find_all((nodes.Add, nodes.Concat, nodes.List, nodes.Tuple)))
    if isinstance(node, nodes.Filter):
        return node.name in _FILTERS and not node.args and not node.kwargs
    if isinstance(node, nodes.Call):
        called = node.node
        if isinstance(called, nodes.Getattr):
            return called.attr in _METHODS
        return isinstance(called, nodes.Name) and called.name in _FUNCTIONS
    if isinstance(node, nodes.Mod):  # modulo, not string formatting
        left = node.left
        loop = (
            isinstance(left, nodes.Getattr) and isinstance(left.node, nodes.Name) and left.node.name == "loop"
        )
        return loop and isinstance(node.right, nodes.Const)
    return isinstance(node, simple)


def _loops_are_plain(node: nodes.Node, given: frozenset[str], depth: int) -> bool:
    """Whether each loop renders only its own variables, so that no text is repeated per iteration.

    Args:
        node: a part of a template.
        given: names bound to one item of an enclosing loop.
        depth: number of enclosing loops.
    """
    from jinja2 import nodes

    for child in node.iter_child_nodes():
        if isinstance(child, nodes.For):
            within = depth == 0 or (depth < _DEEPEST_LOOP and _read(child.iter) <= given)
            inner = given | _stored(child.target)
            if child.recursive or not within or not _loops_are_plain(child, inner, depth + 1):
                return False
            continue
        if depth and isinstance(child, nodes.Output | nodes.Assign):
            value = child.node if isinstance(child, nodes.Assign) else child
            if not _read(value) <= given | _SHORT:
                return False
            if isinstance(child, nodes.Assign):
                given |= _stored(child.target)
        if not _loops_are_plain(child, given, depth):
            return False
    return True


def _read(node: nodes.Node) -> set[str]:
    from jinja2 import nodes

    found = {each.name for each in node.find_all(nodes.Name)}
    return found | ({node.name} if isinstance(node, nodes.Name) else set())


def _stored(target: nodes.Node) -> frozenset[str]:
    return frozenset(_read(target))
