"""Turns an error that a class raises while it is built from a config into one that names the config key."""

import traceback
from collections.abc import Iterator

from mmengine.config import Config

from ..errors import ConfigError
from ..upstream import failed_build


def explain_failed_build(error: Exception, cfg: Config) -> ConfigError | None:
    """Returns the error to raise instead; None if nothing of the config was being built.

    The place of the error in the code is part of the message, because the class itself may be at fault.
    """
    build = failed_build(error)
    if build is None:
        return None
    settings, target = build
    keys = list(_keys_of(settings, cfg.to_dict(), ""))
    where = keys[0] if keys else f"type={settings.get('type')!r}"
    place = traceback.extract_tb(error.__traceback__)[-1]
    name = getattr(target, "__name__", str(target))
    said = str(error) or place.line or "no message"
    return ConfigError(
        f"{where}: {name} cannot be built from these settings: {type(error).__name__}: {said} "
        f"({place.filename}:{place.lineno})"
    )


def _keys_of(settings: dict, node: object, key: str) -> Iterator[str]:
    """Yields the config keys of the dicts that became ``settings``, to which the builder may have added some."""
    if isinstance(node, dict):
        known = {name: value for name, value in node.items() if name in settings}
        if key and "type" in known and all(settings[name] == value for name, value in known.items()):
            yield key
        items = list(node.items())
    else:
        items = list(enumerate(node)) if isinstance(node, list | tuple) else []
    for name, value in items:
        yield from _keys_of(settings, value, f"{key}.{name}" if key else str(name))
