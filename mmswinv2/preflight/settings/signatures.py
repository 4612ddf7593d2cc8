"""Which keywords a class or function takes, followed through ``**kwargs`` that go on to the parent class."""

import ast
import inspect
import textwrap
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple


class Keywords(NamedTuple):
    """What can be given by name.

    Attributes:
        names: The keywords known, in the order of the signature.
        required: Those of them that have no default.
        any_other: Whether others may be taken too: ``**kwargs`` go elsewhere, or the signature cannot be read.
    """

    names: tuple[str, ...]
    required: frozenset[str]
    any_other: bool


OPAQUE = Keywords((), frozenset(), True)


@cache
def keywords_of(target: Any) -> Keywords:
    """Returns the keywords of a class or function; any callable is a valid argument."""
    if not inspect.isclass(target):
        return _of_function(target) if callable(target) else OPAQUE
    makes_itself = type(target).__call__ is not type.__call__ or _owner(target, "__new__") is not object
    return OPAQUE if makes_itself else _of_class(target)


def _owner(cls: type, name: str) -> type:
    return next(base for base in cls.__mro__ if name in vars(base))


def _of_function(function: Any, skip_first: bool = False) -> Keywords:
    if hasattr(function, "__wrapped__") and not str(function.__module__).startswith("torch."):
        return OPAQUE  # a decorator, such as MMEngine's for renamed arguments, may take more names than it shows
    try:
        parameters = list(inspect.signature(function).parameters.values())[skip_first:]
    except (ValueError, TypeError):
        return OPAQUE
    named = [each for each in parameters if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)]
    return Keywords(
        tuple(each.name for each in named),
        frozenset(each.name for each in named if each.default is each.empty),
        any(each.kind is each.VAR_KEYWORD for each in parameters),
    )


def _of_class(cls: type) -> Keywords:
    names: dict[str, None] = {}
    required: set[str] = set()
    call: ast.Call | None = None
    bases = list(cls.__mro__)
    while bases:
        base = bases.pop(0)
        init = vars(base).get("__init__")
        if init is None:
            continue
        if base is object:
            return Keywords(tuple(names), frozenset(required), False)
        own = _of_function(init, skip_first=True)
        required |= own.required - _given_by(call, own)
        names |= dict.fromkeys(own.names)
        call = _call_of_parent(init) if own.any_other and own is not OPAQUE else None
        if call is None:
            return Keywords(tuple(names), frozenset(required), own.any_other)
        bases = _after(_named_in_super(call) or base.__name__, cls.__mro__)
    return OPAQUE


def _after(name: str, bases: tuple[type, ...]) -> list[type]:
    """Returns the classes that come after the one of a name; none if there is no such class."""
    names = [base.__name__ for base in bases]
    return list(bases[names.index(name) + 1 :]) if name in names else []


def _named_in_super(call: ast.Call) -> str | None:
    """Returns the class that ``super(Class, self).__init__`` names; None for ``super().__init__``."""
    parent = call.func.value if isinstance(call.func, ast.Attribute) else None
    arguments = parent.args if isinstance(parent, ast.Call) else []
    return ast.unparse(arguments[0]).rpartition(".")[2] if arguments else None


@cache
def _source(cls: type) -> str:
    try:
        return inspect.getsource(cls)
    except (OSError, TypeError):
        return ""


def reads_key(target: Any, name: str) -> bool:
    """Whether the code of a class, or of one of its parents, has a key of a dict by this name."""
    sources = [_source(base) for base in target.__mro__] if inspect.isclass(target) else []
    return any(f"'{name}'" in source or f'"{name}"' in source for source in sources)


def _given_by(call: ast.Call | None, keywords: Keywords) -> set[str]:
    """Returns which keywords a child's call of its parent's ``__init__`` gives by itself."""
    if call is None:
        return set()
    by_place = [argument for argument in call.args if not isinstance(argument, ast.Starred)]
    return {*keywords.names[: len(by_place)], *(each.arg for each in call.keywords if each.arg)}


def _call_of_parent(init: Callable) -> ast.Call | None:
    """Returns the call by which an ``__init__`` hands its ``**kwargs`` on to its parent's, if they go nowhere else."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(init)))
    except (OSError, TypeError, SyntaxError):
        return None
    function = tree.body[0]
    if not isinstance(function, ast.FunctionDef) or function.args.kwarg is None:
        return None
    name = function.args.kwarg.arg
    uses = [node for node in ast.walk(function) if isinstance(node, ast.Name) and node.id == name]
    calls = [
        call
        for call in ast.walk(function)
        if isinstance(call, ast.Call)
        and _is_parent_init(call.func)
        and any(keyword.arg is None and keyword.value in uses for keyword in call.keywords)
    ]
    return calls[0] if len(uses) == len(calls) == 1 else None


def _is_parent_init(function: ast.expr) -> bool:
    """Whether an expression is ``super().__init__`` or ``super(Class, self).__init__``."""
    return (
        isinstance(function, ast.Attribute)
        and function.attr == "__init__"
        and isinstance(function.value, ast.Call)
        and isinstance(function.value.func, ast.Name)
        and function.value.func.id == "super"
    )
