"""Reads the config that a checkpoint keeps, as text in Python, without running it: anybody may have written it."""

import ast
from collections.abc import Iterator, Mapping
from typing import Any

MAX_TEXT = 2**19  # characters; configs have some ten thousand


def parse_config(text: str) -> dict[str, Any]:
    """The settings in a text of MMEngine's ``Config.pretty_text``.

    Args:
        text: A line ``name = value`` for each setting, of literals, ``dict(...)`` and names of classes.

    Returns:
        The settings. A class is its dotted name.

    Raises:
        ValueError: The text holds anything else. Nothing of it ran.
    """
    if len(text) > MAX_TEXT:
        raise ValueError(f"it has over {MAX_TEXT} characters")
    try:
        return dict(_settings(ast.parse(text)))
    except (SyntaxError, RecursionError, MemoryError, TypeError) as error:
        raise ValueError(str(error) or type(error).__name__) from error


def _settings(module: ast.Module) -> Iterator[tuple[str, Any]]:
    for line in module.body:
        match line:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                yield name, _value(value)
            case _:
                raise ValueError(f"line {line.lineno} is no setting")


def _value(node: ast.expr | None) -> Any:
    match node:
        case ast.Constant(value=value):
            return value
        case ast.List(elts=items):
            return [_value(item) for item in items]
        case ast.Tuple(elts=items):
            return tuple(_value(item) for item in items)
        case ast.Dict(keys=keys, values=values):
            return {_value(key): _value(value) for key, value in zip(keys, values, strict=True)}
        case ast.Call(func=ast.Name(id="dict"), args=[], keywords=pairs) if all(pair.arg for pair in pairs):
            return {pair.arg: _value(pair.value) for pair in pairs}
        case ast.Call(func=ast.Name(id="dict"), args=[ast.Dict() as mapping], keywords=[]):
            return _value(mapping)
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
            return -number
        case ast.UnaryOp(op=ast.USub(), operand=ast.Name(id=name)):  # -inf
            return f"-{name}"
        case ast.Name() | ast.Attribute():
            return ast.unparse(node)
    raise ValueError(f"line {getattr(node, 'lineno', '?')} is no setting")


def leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yields (dotted key, value) of all that is in nested dicts and lists of dicts, as :func:`parse_config` has it."""
    if isinstance(value, Mapping) and value:
        for name, inner in value.items():
            yield from leaves(inner, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list | tuple) and any(isinstance(item, Mapping) for item in value):
        for index, inner in enumerate(value):
            yield from leaves(inner, f"{key}.{index}")
    else:
        yield key, _plain(value)


def _plain(value: Any) -> Any:
    """A value as its text would be read; tuples as lists, which ``--cfg-options`` makes of them."""
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, type):
        return value.__name__ if value.__module__ == "builtins" else f"{value.__module__}.{value.__name__}"
    literal = value is None or isinstance(value, bool | int | str | dict)
    finite = isinstance(value, float) and value - value == 0
    return value if literal or finite else str(value)
