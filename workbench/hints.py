"""What modules need of ``typing`` when they run, if every command imports them. Its import takes 2 ms, a twelfth of
the time of ``workbench read`` on a small file; so the rest of it is imported for type checkers only.

Type checkers know TYPE_CHECKING by its name, and see typing's own NamedTuple.
"""

from __future__ import annotations

from collections import namedtuple

TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any
    from typing import NamedTuple as NamedTuple
else:

    class _OfFields(type):
        """Makes a named tuple of a class with annotated fields, as typing does, but leaves the annotations alone."""

        def __new__(cls, name: str, bases: tuple[type, ...], body: dict[str, Any]) -> type:
            if not bases:
                return super().__new__(cls, name, bases, body)
            fields = body.get("__annotations__", {})
            defaults = [body.pop(field) for field in fields if field in body]
            record = namedtuple(name, fields, defaults=defaults, module=body["__module__"])
            for own, value in body.items():
                if own not in ("__module__", "__qualname__"):
                    setattr(record, own, value)
            return record

    class NamedTuple(metaclass=_OfFields):
        """See :class:`typing.NamedTuple`."""
