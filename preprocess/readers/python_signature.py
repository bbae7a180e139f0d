"""Signatures in Python's own syntax, as a stub file would have them."""

from collections.abc import Iterable

from griffe import Class, Decorator, Function, Parameter, ParameterKind

_STARS = {ParameterKind.var_positional: "*", ParameterKind.var_keyword: "**"}
_LINE_CHARACTERS = 88
_DECORATOR_CHARACTERS = 80
"""Longer decorators hold data (parametrised cases, tables), not the interface."""


def function_stub(function: Function, name: str | None = None) -> str:
    """Return the definition with its overloads, each body being `...`."""
    return "\n".join(_definition(f, name) for f in (*(function.overloads or ()), function))


def overloads_stub(overloads: Iterable[Function]) -> str:
    """Return the definitions of a function that a stub file gives by its overloads only."""
    return "\n".join(_definition(function, None) for function in overloads)


def _definition(function: Function, name: str | None) -> str:
    prefix = "async def" if "async" in function.labels else "def"
    returns = f" -> {function.returns}" if function.returns else ""
    head = f"{prefix} {name or function.name}{type_parameters(function)}"
    pieces = _pieces(function.parameters)
    line = f"{head}({', '.join(pieces)}){returns}: ..."
    if len(line) > _LINE_CHARACTERS and pieces:
        body = "".join(f"    {piece},\n" for piece in pieces)
        line = f"{head}(\n{body}){returns}: ..."
    return decorators(function.decorators) + line


def class_stub(class_: Class, constructor: Function | None) -> str:
    """Return the class with its bases and, where it is known, its constructor."""
    bases = [str(base) for base in class_.bases]
    bases += [f"{key}={value}" for key, value in class_.keywords.items()]
    head = f"class {class_.name}{type_parameters(class_)}" + (
        f"({', '.join(bases)})" if bases else ""
    )
    head = decorators(class_.decorators) + head
    if constructor is None:
        return f"{head}: ..."
    body = function_stub(constructor)
    return f"{head}:\n" + "\n".join(f"    {line}" for line in body.split("\n"))


def type_parameters(definition: Class | Function) -> str:
    """Return the type parameters of PEP 695 with their brackets, or nothing."""
    names = []
    for parameter in definition.type_parameters:
        stars = {"type-var-tuple": "*", "param-spec": "**"}.get(parameter.kind.value, "")
        bound = f": {parameter.annotation}" if parameter.annotation else ""
        default = f" = {parameter.default}" if parameter.default else ""
        names.append(f"{stars}{parameter.name}{bound}{default}")
    return f"[{', '.join(names)}]" if names else ""


def decorators(given: Iterable[Decorator]) -> str:
    """Return one line for each decorator that is short enough to belong to the interface."""
    lines = (f"@{decorator.value}\n" for decorator in given)
    return "".join(line for line in lines if len(line) <= _DECORATOR_CHARACTERS)


def _pieces(parameters: Iterable[Parameter]) -> list[str]:
    """Return the parameters as written, with the bare `/` and `*` where they belong."""
    pieces: list[str] = []
    previous: ParameterKind | None = None
    for parameter in parameters:
        kind = parameter.kind
        positional_only = ParameterKind.positional_only
        if previous is positional_only and kind is not positional_only:
            pieces.append("/")
        if kind is ParameterKind.keyword_only and previous not in (
            ParameterKind.keyword_only,
            ParameterKind.var_positional,
        ):
            pieces.append("*")
        pieces.append(_piece(parameter))
        previous = kind
    if previous is ParameterKind.positional_only:
        pieces.append("/")
    return pieces


def _piece(parameter: Parameter) -> str:
    stars = "" if parameter.kind is None else _STARS.get(parameter.kind, "")
    text = stars + parameter.name
    if parameter.annotation:
        text += f": {parameter.annotation}"
    if parameter.default is None or stars:
        return text
    return text + (f" = {parameter.default}" if parameter.annotation else f"={parameter.default}")
