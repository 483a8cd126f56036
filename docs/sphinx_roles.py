"""A Griffe extension: roles such as ``:class:`Detector``` become plain code in the API pages.

The docstrings use Sphinx's roles, which editors understand; mkdocstrings would print them literally.
"""

import re

from griffe import Extension, Object

_ROLE = re.compile(r":(?:attr|class|data|func|meth|mod):`(~?)([^`]+)`")


def plain(text: str) -> str:
    """Return a text in which each role is code; ``~`` leaves the last part of the name."""
    return _ROLE.sub(lambda role: f"`{_spelt(*role.groups())}`", text)


def _spelt(short: str, name: str) -> str:
    return name.rpartition(".")[2] if short else name


class SphinxRoles(Extension):
    """Rewrites the roles in every docstring."""

    def on_instance(self, *, obj: Object, **_) -> None:
        """Rewrite the docstring of an object that was just loaded."""
        if obj.docstring:
            obj.docstring.value = plain(obj.docstring.value)
