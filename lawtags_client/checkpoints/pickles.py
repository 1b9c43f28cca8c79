"""Pickles read as data: the opcodes are followed, and nothing that they name is imported or called."""

from __future__ import annotations

import io
import pickletools
from collections.abc import Callable
from dataclasses import dataclass, field

from lawtags_client.errors import DataError

_HINT = "Only checkpoints as PyTorch, Megatron Core and NeMo write them are read."


@dataclass(frozen=True, slots=True)
class PickledGlobal:
    """The name of something that a pickle wanted to import.

    Args:
        name: module and name, joined by a dot.
    """

    name: str


@dataclass(eq=False, slots=True)
class PickledObject:
    """An object that a pickle wanted to make.

    Args:
        kind: the name of its class, or of the function that makes it.
        args: the arguments.
        state: what it wanted to be set in the object.
        items: what it wanted to add to the object, if that is a dict.
    """

    kind: str
    args: tuple[object, ...]
    state: object = None
    items: dict[object, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PickledReference:
    """A reference to something outside the pickle, such as the storage of a tensor.

    Args:
        value: the reference.
    """

    value: object


def read_pickle(data: bytes, label: str) -> object:
    """What a pickle describes.

    Args:
        data: the pickle.
        label: the file's name for error messages.

    Raises:
        DataError: it is damaged, or uses an opcode that checkpoints do not need.
    """
    machine = _Machine()
    try:
        for opcode, argument, _ in pickletools.genops(io.BytesIO(data)):
            if opcode.name == "STOP":
                return machine.stack.pop()
            machine.follow(opcode.name, argument)
    except (ValueError, LookupError, TypeError, OverflowError, RecursionError) as error:
        raise DataError(f"is not a pickle that can be read: {error}", path=label, hint=_HINT) from error
    raise DataError("is a pickle without an end", path=label, hint=_HINT)


_CONSTANTS: dict[str, object] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_VALUES = frozenset(
    [
        *("BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT"),
        *("BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
        *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BINSTRING", "SHORT_BINSTRING"),
    ]
)
_NOTHING = frozenset(["PROTO", "FRAME"])
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class _Machine:
    """The stack and the memo of a pickle."""

    def __init__(self) -> None:
        self.stack: list[object] = []
        self._marks: list[int] = []
        self._memo: dict[int, object] = {}

    def follow(self, name: str, argument: object) -> None:
        if name in _VALUES:
            self.stack.append(argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name])
        elif name in _TUPLES:
            self.stack.append(self._taken(_TUPLES[name]))
        elif name not in _NOTHING:
            step = _STEPS.get(name)
            if step is None:
                raise ValueError(f"the opcode {name} is not allowed")
            step(self, argument)

    def _pop(self) -> object:
        if len(self.stack) <= (self._marks[-1] if self._marks else 0):
            raise ValueError("the stack is empty")
        return self.stack.pop()

    def _top(self) -> object:
        if not self.stack:
            raise ValueError("the stack is empty")
        return self.stack[-1]

    def _taken(self, count: int) -> tuple[object, ...]:
        return tuple(reversed([self._pop() for _ in range(count)]))

    def _since_mark(self) -> list[object]:
        if not self._marks:
            raise ValueError("there is no mark")
        place = self._marks.pop()
        found = self.stack[place:]
        del self.stack[place:]
        return found

    def mark(self, _: object) -> None:
        self._marks.append(len(self.stack))

    def put(self, argument: object) -> None:
        self._memo[_number(argument)] = self._top()

    def memoize(self, _: object) -> None:
        self._memo[len(self._memo)] = self._top()

    def get(self, argument: object) -> None:
        self.stack.append(self._memo[_number(argument)])

    def named(self, argument: object) -> None:
        self.stack.append(PickledGlobal(str(argument).replace(" ", ".")))

    def stack_named(self, _: object) -> None:
        module, name = self._taken(2)
        self.stack.append(PickledGlobal(f"{module}.{name}"))

    def reduce(self, _: object) -> None:
        called, arguments = self._taken(2)
        self.stack.append(_made(called, arguments))

    def new_with_keywords(self, _: object) -> None:
        kind, arguments, _keywords = self._taken(3)
        self.stack.append(_made(kind, arguments))

    def build(self, _: object) -> None:
        made, state = self._taken(2)
        if not isinstance(made, PickledObject):
            raise ValueError("only objects have a state")
        made.state = state
        self.stack.append(made)

    def reference(self, _: object) -> None:
        self.stack.append(PickledReference(self._pop()))

    def empty_dict(self, _: object) -> None:
        self.stack.append({})

    def empty_list(self, _: object) -> None:
        self.stack.append([])

    def tuple(self, _: object) -> None:
        self.stack.append(tuple(self._since_mark()))

    def set_item(self, _: object) -> None:
        key, value = self._taken(2)
        self._set([key, value])

    def set_items(self, _: object) -> None:
        self._set(self._since_mark())

    def _set(self, pairs: list[object]) -> None:
        target = self._top()
        items = target.items if isinstance(target, PickledObject) else target
        if not isinstance(items, dict) or len(pairs) % 2:
            raise ValueError("items are set in what is not a dict")
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            # Not deeper, as the hash of a tuple of tuples of tuples has no limit.
            if not isinstance(key, str | int | float | bytes | None | PickledObject):
                raise ValueError(f"a {type(key).__name__} is the key of a dict")
            items[key] = value

    def append(self, _: object) -> None:
        value = self._pop()
        self._extend([value])

    def appends(self, _: object) -> None:
        self._extend(self._since_mark())

    def _extend(self, values: list[object]) -> None:
        target = self._top()
        if isinstance(target, list):
            target.extend(values)
        elif not isinstance(target, PickledObject):
            raise ValueError("items are added to what is not a list")


_STEPS: dict[str, Callable[[_Machine, object], None]] = {
    "MARK": _Machine.mark,
    "BINPUT": _Machine.put,
    "LONG_BINPUT": _Machine.put,
    "MEMOIZE": _Machine.memoize,
    "BINGET": _Machine.get,
    "LONG_BINGET": _Machine.get,
    "GLOBAL": _Machine.named,
    "STACK_GLOBAL": _Machine.stack_named,
    "REDUCE": _Machine.reduce,
    "NEWOBJ": _Machine.reduce,
    "NEWOBJ_EX": _Machine.new_with_keywords,
    "BUILD": _Machine.build,
    "BINPERSID": _Machine.reference,
    "EMPTY_DICT": _Machine.empty_dict,
    "EMPTY_LIST": _Machine.empty_list,
    "TUPLE": _Machine.tuple,
    "SETITEM": _Machine.set_item,
    "SETITEMS": _Machine.set_items,
    "APPEND": _Machine.append,
    "APPENDS": _Machine.appends,
}


def _number(argument: object) -> int:
    if not isinstance(argument, int):
        raise ValueError("a place in the memo is not a number")
    return argument


def _made(kind: object, arguments: object) -> PickledObject:
    if not isinstance(kind, PickledGlobal) or not isinstance(arguments, tuple):
        raise ValueError("something other than a named class or function is called")
    return PickledObject(kind.name, arguments)
