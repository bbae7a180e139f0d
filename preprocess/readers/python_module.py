"""One Python module, parsed by itself and never imported."""

import ast
import logging
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from griffe import (
    Alias,
    Class,
    DataclassesExtension,
    Extension,
    Extensions,
    Function,
    Module,
    visit,
)

# It names absolute paths, and what it complains about is the matter of the module's author.
logging.getLogger("griffe").setLevel(logging.CRITICAL)


class _Definitions(Extension):
    """Makes a definition beat an import of the same name, whichever comes last.

    Pure Python beside an import of its faster replacement (`functools.cmp_to_key`), and stubs
    that import or define by version, have both; only the definition is documentation.
    """

    def __init__(self) -> None:
        self.found: dict[str, Function | Class] = {}

    def on_node(self, *, node: Any, agent: Any, **_kwargs: Any) -> None:
        """Forget the import of a name before it is defined: griffe would try to follow it."""
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            return
        name = node.name
        if isinstance(agent.current.members.get(name), Alias):
            del agent.current.members[name]

    def on_function_instance(self, *, func: Function, **_kwargs: Any) -> None:
        """Remember a function of the module."""
        self._keep(func)

    def on_class_instance(self, *, cls: Class, **_kwargs: Any) -> None:
        """Remember a class of the module."""
        self._keep(cls)

    def _keep(self, definition: Function | Class) -> None:
        if isinstance(definition.parent, Module):
            self.found[definition.name] = definition

    def on_module_members(self, *, mod: Module, **_kwargs: Any) -> None:
        """Put definitions back that an import took the place of."""
        for name, definition in self.found.items():
            if isinstance(mod.members.get(name), Alias):
                mod.set_member(name, definition)


def parse_module(source: str, name: str, path: Path) -> Module:
    """Parse one module.

    Raises:
        SyntaxError: It is no Python 3, or nested deeper than Python's parser goes.
    """
    extensions = Extensions(_Definitions())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes and the like
            module = visit(name, filepath=path, code=source, extensions=extensions)
            DataclassesExtension().on_package(pkg=module)
    except (RecursionError, MemoryError, ValueError) as error:
        raise SyntaxError(str(error)) from error
    return module


def public_definitions(module: Module) -> Iterator[Function | Class]:
    """Yield the functions and classes that a module defines for others, in file order.

    Its `__all__` says which; without one, names without a leading underscore are public.
    """
    if module.exports is None:
        return public_members(module)
    exported = {name for name in module.exports if isinstance(name, str)}
    return (d for d in definitions(module) if d.name in exported)


def public_members(scope: Class | Module) -> Iterator[Function | Class]:
    """Yield the definitions without a leading underscore, in file order."""
    return (d for d in definitions(scope) if not d.name.startswith("_"))


def definitions(scope: Class | Module) -> Iterable[Function | Class]:
    """Return the functions and classes of a scope, in file order."""
    found = [m for m in scope.members.values() if isinstance(m, Function | Class)]
    for name, overloads in scope.overloads.items():
        if overloads and name not in scope.members:
            found.append(from_overloads(overloads))
    return sorted(found, key=lambda definition: definition.lineno or 0)


def from_overloads(overloads: list[Function]) -> Function:
    """Return the last of a stub's overloads as the definition, after the others."""
    *others, last = overloads
    last.overloads = others
    return last
