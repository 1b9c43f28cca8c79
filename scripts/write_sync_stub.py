"""Write ``lawtags_client/sync.pyi``: the types of the blocking client, generated from the async classes.

Every class that is reachable from ``NeMo`` or ``Helix`` and has async methods gets a blocking counterpart,
and so do ``tag`` and ``tag_many``: coroutines return their result, async iterators become plain ones, and
classes in annotations are replaced by their counterparts.

    python scripts/write_sync_stub.py           # writes the file
    python scripts/write_sync_stub.py --check   # checks that the file is up to date
"""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path

from lawtags_client.asking.tags import tag, tag_many
from lawtags_client.blocking import is_asynchronous
from lawtags_client.client import NeMo
from lawtags_client.helix.client import Helix

STUB = Path(__file__).parent.parent / "lawtags_client" / "sync.pyi"
_HEAD = '''"""The blocking front. Written by scripts/write_sync_stub.py; do not edit."""

'''
_RAW = """
    def with_raw_response(self, call: Callable[P, T]) -> Callable[P, RawResponse[T]]:
        \"\"\"A call that returns the raw response, too: status, headers and body beside the result.\"\"\"
"""
_EXIT = """
    @classmethod
    def of(cls, client: Async{name}) -> Self:
        \"\"\"A blocking client around an async one, which is from then on used only through it.\"\"\"
    def close(self) -> None:
        \"\"\"Close every connection.\"\"\"
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
"""
_IMPORTS = {
    "from collections.abc import Callable",
    "from lawtags_client.transport.raw import RawResponse",
    "from types import TracebackType",
    "from typing import ParamSpec, Self, TypeVar",
}
_CLIENTS = (NeMo, Helix)
_FUNCTIONS = (tag, tag_many)
_VARIABLES = ('P = ParamSpec("P")', 'T = TypeVar("T")')
_ITERATORS = {"AsyncIterator": "Iterator", "AsyncGenerator": "Iterator", "AsyncIterable": "Iterable"}


class Source:
    """A module of the package: its imports and the source of its classes.

    Args:
        name: of the module.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.module = importlib.import_module(name)
        self.tree = ast.parse(inspect.getsource(self.module))

    @cached_property
    def imports(self) -> dict[str, tuple[str, str]]:
        """Each imported name, with its module and its name there."""
        found = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.ImportFrom) and node.module:
                for each in node.names:
                    found[each.asname or each.name] = (node.module, each.name)
        return found

    @cached_property
    def modules(self) -> set[str]:
        """Modules imported as a whole."""
        return {
            each.name for node in ast.walk(self.tree) if isinstance(node, ast.Import) for each in node.names
        }

    def of_class(self, name: str) -> ast.ClassDef:
        """The source of a class."""
        return next(n for n in self.tree.body if isinstance(n, ast.ClassDef) and n.name == name)

    def of_function(self, name: str) -> ast.AsyncFunctionDef:
        """The source of a function."""
        return next(n for n in self.tree.body if isinstance(n, ast.AsyncFunctionDef) and n.name == name)


class Stub:
    """Collects the content of the file."""

    def __init__(self) -> None:
        self.imports: set[str] = set()
        self.variables: dict[str, str] = {}
        self.classes: dict[type[object], str] = {}
        self._names: dict[str, type[object]] = {}
        self._imported: dict[str, str] = {}

    def text(self) -> str:
        """The whole file."""
        fronts = [self._class(client, client.__name__, root=True) for client in _CLIENTS]
        functions = ["\n".join(self._function(each)) for each in _FUNCTIONS]
        imports = sorted(self.imports | _IMPORTS)
        variables = [*_VARIABLES, *(self.variables[name] for name in sorted(self.variables))]
        parts = [
            "\n".join(imports),
            "\n".join(variables),
            *reversed(self.classes.values()),
            *fronts,
            *functions,
        ]
        return _formatted(_HEAD + "\n\n".join(parts))

    def _counterpart(self, kind: type[object]) -> str:
        """The name of a class's blocking counterpart, which is generated on first use."""
        name = f"Sync{kind.__name__}"
        if self._names.setdefault(name, kind) is not kind:
            raise SystemExit(f"{kind} and {self._names[name]} would both become {name}")
        if kind not in self.classes:
            self.classes[kind] = ""  # it may refer to itself
            self.classes[kind] = self._class(kind, name)
        return name

    def _class(self, kind: type[object], name: str, *, root: bool = False) -> str:
        source = Source(kind.__module__)
        node = source.of_class(kind.__name__)
        bases = ", ".join(self._type(base, source) for base in node.bases)
        lines = [f"class {name}({bases}):" if bases else f"class {name}:", *_summary(node)]
        if root:
            self.imports.add(f"from {kind.__module__} import {name} as Async{name}")
            maker = next(n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__")
            lines += [f"    {line}" for line in self._method(maker, source)]
        lines += [f"    {line}" for line in self._attributes(node, source)]
        methods = [n for n in node.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
        written = {"close", "with_raw_response"} if root else set()
        shown = [n for n in methods if not n.name.startswith("_") and n.name not in written]
        # A method named `list` would hide the built-in type from later annotations.
        for method in sorted(shown, key=lambda n: n.name == "list"):
            lines += [f"    {line}" for line in self._method(method, source)]
        raw = _RAW if root and hasattr(kind, "with_raw_response") else ""
        return "\n".join(lines) + raw + (_EXIT.format(name=name) if root else "")

    def _function(self, function: Callable[..., object]) -> Iterator[str]:
        source = Source(function.__module__)
        return self._method(source.of_function(function.__name__), source)

    def _attributes(self, node: ast.ClassDef, source: Source) -> Iterator[str]:
        """Public attributes, from their declarations or from ``__init__``."""
        declared = set()
        for each in node.body:
            if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name):
                declared.add(each.target.id)
                yield f"{each.target.id}: {self._type(each.annotation, source)}"
        maker = next((n for n in node.body if getattr(n, "name", "") == "__init__"), None)
        if not isinstance(maker, ast.FunctionDef):
            return
        given = {arg.arg: arg.annotation for arg in (*maker.args.args, *maker.args.kwonlyargs)}
        for statement in ast.walk(maker):
            if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Attribute):
                if not statement.target.attr.startswith("_"):
                    yield f"{statement.target.attr}: {self._type(statement.annotation, source)}"
                continue
            if not (isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Attribute)):
                continue
            attribute, value = statement.targets[0].attr, statement.value
            if attribute.startswith("_") or attribute in declared:
                continue
            if isinstance(value, ast.BoolOp):
                value = value.values[-1]
            kind = value.func if isinstance(value, ast.Call) else given.get(getattr(value, "id", ""))
            if kind is None:
                raise SystemExit(f"{node.name}.{attribute}: its type cannot be determined")
            yield f"{attribute}: {self._type(kind, source)}"

    def _method(self, node: ast.FunctionDef | ast.AsyncFunctionDef, source: Source) -> Iterator[str]:
        decorators = {ast.unparse(each) for each in node.decorator_list}
        if decorators & {"property", "cached_property"}:
            yield "@property"
        elif "classmethod" in decorators:
            yield "@classmethod"
        shown = ", ".join(self._arguments(node.args, source))
        returned = self._type(node.returns, source) if node.returns else "None"
        summary = _summary(node)
        yield f"def {node.name}({shown}) -> {returned}:" + ("" if summary else " ...")
        yield from summary

    def _arguments(self, arguments: ast.arguments, source: Source) -> Iterator[str]:
        plain = arguments.posonlyargs + arguments.args
        defaults = [None] * (len(plain) - len(arguments.defaults)) + list(arguments.defaults)
        for index, (argument, default) in enumerate(zip(plain, defaults, strict=True), start=1):
            yield self._argument(argument, default, source)
            if index == len(arguments.posonlyargs):
                yield "/"
        if arguments.vararg:
            yield "*" + self._argument(arguments.vararg, None, source)
        elif arguments.kwonlyargs:
            yield "*"
        for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
            yield self._argument(argument, default, source)
        if arguments.kwarg:
            yield "**" + self._argument(arguments.kwarg, None, source)

    def _argument(self, argument: ast.arg, default: ast.expr | None, source: Source) -> str:
        kind = f": {self._type(argument.annotation, source)}" if argument.annotation else ""
        if default is None:
            return argument.arg + kind
        return (
            f"{argument.arg}{kind} = {ast.unparse(default) if isinstance(default, ast.Constant) else '...'}"
        )

    def _type(self, node: ast.expr, source: Source) -> str:
        """Write a type for the stub, adding the imports it needs."""
        written = ast.parse(ast.unparse(node), mode="eval").body
        for part in ast.walk(written):
            if isinstance(part, ast.Name):
                part.id = self._name(part.id, source)
        return ast.unparse(written)

    def _name(self, name: str, source: Source) -> str:
        if name in _ITERATORS:
            self.imports.add(f"from collections.abc import {_ITERATORS[name]}")
            return _ITERATORS[name]
        if name in source.imports:
            home, called = source.imports[name]
            if home.startswith("lawtags_client."):
                kind = getattr(importlib.import_module(home), called)
                if kind in _CLIENTS:
                    return called
                if isinstance(kind, type) and is_asynchronous(kind):
                    return self._counterpart(kind)
                if type(kind).__name__ == "TypeVar":
                    return self._variable(name, kind)
            return self._import(home, called, name)
        if name in source.modules:
            self.imports.add(f"import {name}")
            return name
        here = getattr(source.module, name, None)
        if type(here).__name__ == "TypeVar":
            return self._variable(name, here)
        if isinstance(here, type) and here.__module__ == source.name and is_asynchronous(here):
            return self._counterpart(here)
        return name if here is None else self._import(source.name, name, name)

    def _import(self, home: str, called: str, name: str) -> str:
        """Import a name, and return what it is called in the stub."""
        while self._imported.setdefault(name, home) != home:
            # Both APIs have a page, for example.
            name = f"Helix{name}"
        alias = f" as {name}" if name != called else ""
        self.imports.add(f"from {home} import {called}{alias}")
        return name

    def _variable(self, name: str, variable: object) -> str:
        self.imports.add("from typing import TypeVar")
        bound = getattr(variable, "__bound__", None)
        if bound is not None:
            bound = getattr(bound, "__forward_arg__", None) or bound
            self.imports.add(f"from {bound.__module__} import {bound.__name__}")
        written = f", bound={bound.__name__}" if bound is not None else ""
        made = f'{name} = TypeVar("{name}"{written})'
        if self.variables.setdefault(name, made) != made:
            raise SystemExit(f"there are two type variables {name}: rename one of them")
        return name


def _summary(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    """The first sentence of a docstring."""
    written = (ast.get_docstring(node) or "").partition("\n\n")[0].replace("\n", " ")
    return [f'    """{written}"""'] if written else []


def _formatted(text: str) -> str:
    ruff = [sys.executable, "-m", "ruff"]
    name = ["--stdin-filename", str(STUB)]
    sorted_ = subprocess.run(
        [*ruff, "check", "--fix", "--quiet", "--select", "I,F401,UP,E7,W", *name, "-"],
        input=text, capture_output=True, text=True, check=True,
    )  # fmt: skip
    done = subprocess.run(
        [*ruff, "format", "--quiet", *name, "-"],
        input=sorted_.stdout,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def main() -> None:
    """Write the file, or check that it is up to date."""
    text = Stub().text()
    if "--check" not in sys.argv[1:]:
        STUB.write_text(text, "utf-8")
    elif STUB.read_text("utf-8") != text:
        raise SystemExit(f"{STUB.name} is out of date; run: make stubs")


if __name__ == "__main__":
    main()
