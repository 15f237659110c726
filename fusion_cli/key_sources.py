"""Where a key is, as the config file may say it: kinds of value beside `values`; what fits none is never quoted.

A key that is pasted in the place of its source is the likely mistake. Opens and runs nothing.
"""

import re

from fusion_cli.key_shapes import is_key, may_be_secret
from fusion_cli.values import PATH, Kind, MisfitError

_VARIABLE = r"[A-Z_][A-Z0-9_]{0,99}"
_MAX_COMMAND = 1000


def _misfit() -> MisfitError:
    return MisfitError("something else (not shown)")


def _fit_variable(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(_VARIABLE, value) or may_be_secret(value):
        raise _misfit()
    return value


def _fit_file(value: object) -> str:
    try:
        path: str = PATH.check(value)
    except MisfitError:
        raise _misfit() from None
    return path


def _fit_command(value: object) -> str:
    import shlex

    if not isinstance(value, str) or not value.isprintable() or len(value) > _MAX_COMMAND or is_key(value):
        raise _misfit()
    try:
        words = shlex.split(value)
    except ValueError:  # a quote that does not end
        words = []
    if not words or not words[0] or may_be_secret(words[0]):
        raise _misfit()
    return value


VARIABLE = Kind("the NAME of an environment variable, in capitals, never the key itself", _fit_variable)
FILE = Kind("the full path of the file with the key (~ may stand for the home folder), never the key itself", _fit_file)
COMMAND = Kind("the command that prints the key, in one line, never the key itself", _fit_command)
