"""The documentation page and the tools of one public function or class."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from griffe import Attribute, Class, Function, Parameter

from preprocess.readers.python_docstring import (
    Documentation,
    documentation_of,
    list_item,
    read_docstring,
)
from preprocess.readers.python_module import from_overloads, public_members
from preprocess.readers.python_schema import Schema, schema_of_parameters
from preprocess.readers.python_signature import class_stub, function_stub
from preprocess.records import Tool, escape_surrogates

_VALUE_CHARACTERS = 60
"""A longer value of a class attribute is data, not documentation."""


@dataclass(frozen=True, kw_only=True)
class Page:
    """What a reader of the documentation sees, and what a model can call."""

    text: str
    tools: tuple[Tool, ...]
    is_documented: bool
    """Whether there is a docstring or a type anywhere in it."""


def definition_page(module: str, definition: Function | Class) -> Page:
    """Return the page of a definition at the top level of `module`."""
    if isinstance(definition, Class):
        return class_page(module, definition)
    return function_page(module, definition)


def function_page(module: str, function: Function) -> Page:
    """Return the page of a function at module level."""
    name = f"{module}.{function.name}"
    documentation = documentation_of(function)
    text = _join(f"# {name}", _code(function_stub(function)), documentation.markdown)
    tool = _tool(name, function.parameters, documentation)
    documented = bool(documentation.markdown) or _has_types(function)
    return Page(text=escape_surrogates(text), tools=(tool,), is_documented=documented)


def class_page(module: str, class_: Class) -> Page:
    """Return the page of a class: itself, its attributes and its public methods."""
    name = f"{module}.{class_.name}"
    documentation = read_docstring(class_.docstring)
    constructor = _constructor(class_)
    of_constructor = documentation_of(constructor) if constructor else Documentation()
    attributes = _attributes(class_, documentation)
    parts = [
        f"# {name}",
        _code(class_stub(class_, constructor)),
        documentation.markdown,
        of_constructor.markdown,
        "**Attributes**\n\n" + "\n".join(attributes) if attributes else "",
    ]
    tools = [_constructor_tool(class_, name, constructor, documentation, of_constructor)]
    documented = any((documentation.markdown, of_constructor.markdown))
    documented = documented or (constructor is not None and _has_types(constructor))
    for method in _public_methods(class_):
        page = _method_page(name, method)
        parts.append(page.text)
        tools += page.tools
        documented = documented or page.is_documented
    documented = documented or any(": " in a or " (`" in a for a in attributes)
    text = escape_surrogates(_join(*parts))
    return Page(text=text, tools=tuple(tools), is_documented=documented)


def _method_page(class_name: str, method: Function) -> Page:
    name = f"{class_name}.{method.name}"
    documentation = documentation_of(method)
    heading = f"## {class_name.rpartition('.')[2]}.{method.name}"
    text = _join(heading, _code(function_stub(method)), documentation.markdown)
    tool = _tool(name, _without_receiver(method), documentation)
    documented = bool(documentation.markdown) or _has_types(method)
    return Page(text=text, tools=(tool,), is_documented=documented)


def _join(*parts: str) -> str:
    return "\n\n".join(part.strip("\n") for part in parts if part.strip()) + "\n"


def _code(source: str) -> str:
    return f"```python\n{source}\n```"


def _has_types(function: Function) -> bool:
    return bool(function.returns) or any(p.annotation for p in function.parameters)


def _tool(name: str, parameters: Iterable[Parameter], documentation: Documentation) -> Tool:
    schema = schema_of_parameters(parameters, documentation.descriptions, documentation.types)
    return Tool(name=name, description=documentation.summary, parameters=schema)


def _constructor_tool(
    class_: Class,
    name: str,
    constructor: Function | None,
    of_class: Documentation,
    of_constructor: Documentation,
) -> Tool:
    description = of_class.summary or of_constructor.summary
    if constructor is None:
        parameters: Schema = {"type": "object", "properties": {}}
        if not (class_.bases or class_.keywords or class_.decorators):
            parameters |= {"required": [], "additionalProperties": False}
        # Else it is inherited or made: which arguments it takes is not in this file.
    else:
        parameters = schema_of_parameters(
            _without_receiver(constructor),
            {**of_class.descriptions, **of_constructor.descriptions},
            {**of_class.types, **of_constructor.types},
        )
    return Tool(name=name, description=description, parameters=parameters)


def _without_receiver(method: Function) -> list[Parameter]:
    """Return the parameters that a caller gives: without `self` or `cls`."""
    parameters = list(method.parameters)
    if "staticmethod" in method.labels and method.name != "__new__":
        return parameters
    is_bound = parameters and parameters[0].kind.value.startswith("positional")
    return parameters[1:] if is_bound else parameters


def _constructor(class_: Class) -> Function | None:
    """Return what makes instances, if this file says so."""
    for name in ("__init__", "__new__"):
        member = class_.members.get(name)
        if isinstance(member, Function):
            return member
        if overloads := class_.overloads.get(name):
            return from_overloads(overloads)
    return None


def _public_methods(class_: Class) -> Iterator[Function]:
    return (m for m in public_members(class_) if isinstance(m, Function))


def _attributes(class_: Class, documentation: Documentation) -> list[str]:
    """Return a list item for each public attribute that the class's docstring leaves out."""
    items = []
    for name, member in class_.members.items():
        if not isinstance(member, Attribute) or name.startswith("_"):
            continue
        if name in documentation.attributes or name in documentation.descriptions:
            continue
        item = _attribute(name, member)
        if item:
            items.append(item)
    return items


def _attribute(name: str, attribute: Attribute) -> str:
    value = str(attribute.value) if attribute.value and "property" not in attribute.labels else ""
    is_constant = (
        "class-attribute" in attribute.labels and value and len(value) <= _VALUE_CHARACTERS
    )
    described = read_docstring(attribute.docstring).markdown
    if not (is_constant or described or attribute.annotation):
        return ""  # an assignment in a method; what it is for is not said
    head = f"`{name} = {value}`" if is_constant and "\n" not in value else f"`{name}`"
    if attribute.annotation:
        head += f" (`{attribute.annotation}`)"
    return list_item(head, described)
