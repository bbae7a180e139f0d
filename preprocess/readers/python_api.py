"""Dataset `python_api`: the documentation of Python modules, read without importing them.

One native record is a public function or class at the top level of a module; a class brings its
public methods. `__all__` decides what is public where there is one, else a leading underscore.
What says no more than bare parameter names (no docstring, no type) is dropped: `undocumented`.
"""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING

from preprocess.readers.decoding import UndecodableTextError, decode_text
from preprocess.readers.installed import import_root, license_of_file
from preprocess.readers.reader import Options, Reader
from preprocess.records import Origin, Outcome, Record, Rejection, portable_path, record_id

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path, PurePosixPath

    from griffe import Class, Function, Module

_NAME = "python_api"
_TEST_FOLDERS = frozenset(("test", "tests", "testing", "idle_test", "__pycache__"))
_TEST_FILE = re.compile(r"(test_.*|.*_test|tests?|conftest)\.pyi?")


def accepts(relative: PurePosixPath) -> bool:
    """Accept `.py` and `.pyi` files that are not tests."""
    if relative.suffix not in (".py", ".pyi") or _TEST_FILE.fullmatch(relative.name):
        return False
    return _TEST_FOLDERS.isdisjoint(relative.parts[:-1])


def read_file(path: Path, relative: str, _options: Options, _limit: int) -> Iterator[Outcome]:
    """Yield the outcome of each public definition of a module, in file order."""
    from preprocess.readers.python_module import parse_module, public_definitions

    name = portable_path(relative)
    data = path.read_bytes()
    try:
        module = parse_module(decode_text(data, is_python=True), module_name(path), path)
    except (UndecodableTextError, SyntaxError) as error:
        reason = error.reason if isinstance(error, UndecodableTextError) else "syntax_error"
        origin = Origin(path=name, record=0)
        yield Outcome(rejection=Rejection(origin=origin, reason=reason, raw=data))
        return
    license_ = license_of_file(path)
    for ordinal, definition in enumerate(public_definitions(module)):
        yield _outcome(module, definition, Origin(path=name, record=ordinal), license_)


def _outcome(
    module: Module, definition: Function | Class, origin: Origin, license_: str
) -> Outcome:
    from preprocess.readers.python_page import definition_page

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escapes in the types that docstrings give
        page = definition_page(module.path, definition)
    if not page.is_documented:
        return Outcome(dropped=("undocumented",))
    record = Record(
        id=record_id(_NAME, origin),
        text=page.text,
        kind="tool_documentation",
        source=_NAME,
        license=license_,
        origin=origin,
        tools=page.tools,
        meta={
            "module": module.name,
            "object": definition.kind.value,
            "lines": [definition.lineno, definition.endlineno],
        },
    )
    return Outcome(records=(record,))


def module_name(path: Path) -> str:
    """Return the name that a file is imported by, from the folders around it.

    It begins below the nearest folder that Python imports from; in a source tree, at the
    outermost package.
    """
    root = import_root(path)
    absolute = path.absolute()
    if root is None:
        packages = (f for f in absolute.parents if not (f / "__init__.py").is_file())
        root = next(packages, absolute.parent)
    parts = list(absolute.relative_to(root).with_suffix("").parts)
    if len(parts) > 1 and parts[-1] == "__init__":
        parts.pop()
    return portable_path(".".join(parts))


READER = Reader(
    name=_NAME,
    kind="tool_documentation",
    license="per file",
    published="any size",
    layout="Python packages or modules (*.py, *.pyi), any depth",
    unit="a public function or class of a module",
    accepts=accepts,
    read_file=read_file,
)
