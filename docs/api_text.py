"""A Griffe extension that adapts the docstrings and comments of the code to the API pages.

- Roles such as ``:class:`Detector```, which editors understand, become plain code.
- The comment of a field of a record becomes the description of the field.
"""

import re

from griffe import Attribute, Docstring, Extension, Object

_ROLE = re.compile(r":(?:attr|class|data|func|meth|mod):`(~?)([^`]+)`")
_COMMENT = re.compile(r"\s#:? (.+)$")


def plain(text: str) -> str:
    """Return a text in which each role is code; ``~`` leaves the last part of the name."""
    return _ROLE.sub(lambda role: f"`{_spelt(*role.groups())}`", text)


def _spelt(short: str, name: str) -> str:
    return name.rpartition(".")[2] if short else name


class APIText(Extension):
    """Rewrites the roles in every docstring and describes fields by their comments."""

    def on_instance(self, *, obj: Object, **_) -> None:
        """Rewrite the docstring of an object that was just loaded."""
        if obj.docstring:
            obj.docstring.value = plain(obj.docstring.value)

    def on_attribute_instance(self, *, attr: Attribute, **_) -> None:
        """Take the comment at the end of the line of a field as its description."""
        if attr.docstring or attr.lineno is None or not (attr.parent and attr.parent.is_class):
            return
        line = attr.lines_collection[attr.filepath][attr.endlineno - 1]
        comment = _COMMENT.search(line)
        if comment:
            text = plain(comment[1])
            attr.docstring = Docstring(text[0].upper() + text[1:], parent=attr)
