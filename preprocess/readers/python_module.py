"""One Python module, parsed by itself and never imported."""

import ast
import inspect
import logging
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from griffe import (
    Alias,
    Class,
    Docstring,
    Extension,
    Extensions,
    Function,
    Module,
    visit,
)

from preprocess.readers.python_dataclass import dataclass_constructor, source_of_type

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

    def on_function_instance(self, *, node: Any, func: Function, **_kwargs: Any) -> None:
        """Remember a function of the module, and give it the types that its source has.

        griffe's own forms read strings as types unless it can follow `Literal` to `typing`.
        """
        _state_types(node, func)
        self._keep(func)

    def on_class_instance(self, *, cls: Class, **_kwargs: Any) -> None:
        """Remember a class of the module."""
        self._keep(cls)

    def on_class_members(self, *, node: Any, cls: Class, **_kwargs: Any) -> None:
        """Give a dataclass its constructor (griffe's own way keeps every module in memory)."""
        if constructor := dataclass_constructor(node, cls):
            cls.set_member("__init__", constructor)

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
            for scope in _scopes(module):
                _separate_documentation(scope)
    except (RecursionError, MemoryError, ValueError) as error:
        raise SyntaxError(str(error)) from error
    return module


def _state_types(node: ast.FunctionDef | ast.AsyncFunctionDef, function: Function) -> None:
    arguments = node.args
    positional = [*arguments.posonlyargs, *arguments.args]
    others = [*arguments.kwonlyargs, *filter(None, (arguments.vararg, arguments.kwarg))]
    annotations = {argument.arg: argument.annotation for argument in (*positional, *others)}
    with_default = positional[len(positional) - len(arguments.defaults) :]
    defaults = {a.arg: d for a, d in zip(with_default, arguments.defaults, strict=True)}
    keyword_only = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    defaults |= {argument.arg: default for argument, default in keyword_only if default}
    for parameter in function.parameters:
        annotation = annotations[parameter.name]
        parameter.annotation = source_of_type(annotation) if annotation else None
        if parameter.name in defaults:
            parameter.default = ast.unparse(defaults[parameter.name])
    function.returns = source_of_type(node.returns) if node.returns else None


def _scopes(module: Module) -> Iterator[Class | Module]:
    yield module
    yield from (member for member in module.members.values() if isinstance(member, Class))


def _separate_documentation(scope: Class | Module) -> None:
    """Turn `Annotated[T, Doc("...")]` (PEP 727) into the type and the parameter's docstring."""
    for definition in definitions(scope):
        if not isinstance(definition, Function):
            continue
        for parameter in definition.parameters:
            if parameter.annotation and "Doc(" in (annotation := str(parameter.annotation)):
                parameter.annotation, documentation = _split_annotated(annotation)
                if documentation:
                    parameter.docstring = Docstring(documentation, parent=definition)


def _split_annotated(annotation: str) -> tuple[str, str]:
    node = ast.parse(annotation, mode="eval").body
    if not isinstance(node, ast.Subscript) or not isinstance(node.slice, ast.Tuple):
        return annotation, ""
    type_, *notes = node.slice.elts
    for note in notes:
        if isinstance(note, ast.Call) and ast.unparse(note.func).rpartition(".")[2] == "Doc":
            text = note.args[0] if len(note.args) == 1 else None
            if isinstance(text, ast.Constant) and isinstance(text.value, str):
                return ast.unparse(type_), inspect.cleandoc(text.value)
    return annotation, ""


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
