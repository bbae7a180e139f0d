"""The constructor that `@dataclass` makes of a class's fields.

Source: the documentation of `dataclasses`. Fields of a base class in another file are unknown,
so a constructor is made only where there is none.
"""

import ast

from griffe import Class, Docstring, Function, Parameter, ParameterKind, Parameters

# Bases that add no field.
_EMPTY_BASES = frozenset(("object", "ABC", "Generic", "Protocol"))


def dataclass_constructor(node: ast.ClassDef, class_: Class) -> Function | None:
    """Return the constructor of a dataclass, None where it has or inherits another.

    Its line is 0, since it stands in no source.
    """
    decorator = next((d for d in node.decorator_list if _name(d) == "dataclass"), None)
    if decorator is None or not {_name(base) for base in node.bases} <= _EMPTY_BASES:
        return None
    options = _options(decorator)
    if "__init__" in class_.members or options.get("init") == "False":
        return None
    fields = _fields(node, class_, is_keyword_only=options.get("kw_only") == "True")
    receiver = Parameter("self", kind=ParameterKind.positional_or_keyword)
    by_position = [field for field in fields if field.kind is not ParameterKind.keyword_only]
    by_keyword = [field for field in fields if field.kind is ParameterKind.keyword_only]
    return Function(
        "__init__",
        lineno=0,
        endlineno=0,
        parameters=Parameters(receiver, *by_position, *by_keyword),
        returns="None",
        parent=class_,
    )


def _fields(node: ast.ClassDef, class_: Class, *, is_keyword_only: bool) -> list[Parameter]:
    fields = []
    for statement in node.body:
        if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
            continue
        if _name(statement.annotation) == "KW_ONLY":
            is_keyword_only = True
            continue
        options = _options(statement.value) if _name(statement.value) == "field" else None
        if _name(statement.annotation) == "ClassVar" or (options or {}).get("init") == "False":
            continue
        by_keyword = (options or {}).get("kw_only", str(is_keyword_only)) == "True"
        fields.append(_field(statement, statement.target.id, options, class_, by_keyword))
    return fields


def _field(
    statement: ast.AnnAssign,
    name: str,
    options: dict[str, str] | None,
    class_: Class,
    is_keyword_only: bool,
) -> Parameter:
    if options is None:
        default = ast.unparse(statement.value) if statement.value else None
    elif "default_factory" in options:
        default = f"{options['default_factory']}()"
    else:
        default = options.get("default")
    member = class_.members.get(name)
    docstring = member.docstring if member is not None else None
    return Parameter(
        name,
        annotation=_annotation(statement.annotation),
        kind=ParameterKind.keyword_only if is_keyword_only else ParameterKind.positional_or_keyword,
        default=default,
        docstring=docstring if isinstance(docstring, Docstring) else None,
    )


def _annotation(node: ast.expr) -> str:
    """Return the type of the argument: that inside `InitVar[...]`."""
    if isinstance(node, ast.Subscript) and _name(node) == "InitVar":
        node = node.slice
    return source_of_type(node)


def source_of_type(node: ast.expr) -> str:
    """Return the source of a type; one in quotes loses them if it is one."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        try:
            return ast.unparse(ast.parse(node.value.strip(), mode="eval"))
        except (SyntaxError, ValueError):
            return repr(node.value)
    return ast.unparse(node)


def _name(node: ast.expr | None) -> str:
    """Return the last name of what is called, subscripted or named."""
    if isinstance(node, ast.Call):
        node = node.func
    if isinstance(node, ast.Subscript):
        node = node.value
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _options(node: ast.expr | None) -> dict[str, str]:
    if not isinstance(node, ast.Call):
        return {}
    return {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords if keyword.arg}
