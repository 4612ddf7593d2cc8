"""``--cfg-options``: settings on the command line that override those of a config."""

import argparse
from collections.abc import Sequence
from typing import Any

from mmengine.config import DictAction

CFG_OPTIONS = (
    "settings that override the config's, as key=value; lists as key='[a,b]' or key=a,b, tuples as "
    "key='[(a,b),(c,d)]', with quotes and without spaces"
)


class CfgOptions(DictAction):
    """MMEngine's, which names the option at fault where it would end in an error of Python."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        """Adds the settings to those that came before.

        Raises:
            argparse.ArgumentError: One has no ``=``, or a value that is neither a number, a word nor a list of them.
        """
        for value in values or ():
            try:
                super().__call__(parser, namespace, [value], option_string)
            except ValueError as error:
                raise argparse.ArgumentError(self, f"{value!r} is not of the form key=value") from error
            except (AssertionError, RecursionError) as error:  # brackets that do not match, or of another kind
                key, _, text = value.partition("=")
                advice = f"; set the keys of a dict one by one, as in {key}.type=NAME" if "dict(" in text else ""
                raise argparse.ArgumentError(self, f"the value of {key} cannot be read: {text}{advice}") from error


def add_cfg_options(parser: argparse.ArgumentParser) -> None:
    """Adds the option to a command."""
    parser.add_argument("--cfg-options", nargs="+", action=CfgOptions, metavar="KEY=VALUE", help=CFG_OPTIONS)
