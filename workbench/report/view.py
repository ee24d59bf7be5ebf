"""What a cell shows: HTML in a notebook, text elsewhere, and facts for the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from workbench.markup import markup

FACTS = "workbench"
"""The key in an output's metadata that holds the facts of a View."""
NOTHING = "nothing"
"""The fact that there is nothing to show, and why: reports leave such an output out."""


@dataclass(frozen=True)
class View:
    """``as_html`` in a notebook, ``as_text`` elsewhere. ``facts`` go into the metadata of the output: NOTHING, or the
    ``tiles`` as plain values."""

    as_html: str
    as_text: str
    facts: Mapping[str, Any] = field(default_factory=dict)

    def _repr_html_(self) -> str:
        return self.as_html

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, str], dict[str, Any]]:
        bundle = {"text/html": self.as_html, "text/plain": self.as_text}
        return bundle, {FACTS: dict(self.facts)} if self.facts else {}

    def __repr__(self) -> str:
        return self.as_text


@dataclass(frozen=True, eq=False)
class Shown:
    """Several things for one cell, one below the other."""

    parts: tuple[Any, ...]

    def _ipython_display_(self) -> None:
        from IPython.display import display

        for part in self.parts:
            display(part)  # type: ignore[no-untyped-call]

    def __repr__(self) -> str:
        return "\n".join(repr(part) for part in self.parts)


def sentence(text: str) -> View:
    """One sentence in place of a table or chart."""
    return View(markup("report/words", said=[("", [text])]), text)


def nothing(why: str) -> View:
    """A sentence saying why there is nothing to show. Reports leave it out, and its section if that has nothing else,
    and list every ``why`` in one place."""
    return View(markup("report/words", said=[("", [why])]), why, {NOTHING: why})


def label(text: str) -> View:
    """A heading within a cell's output."""
    return View(markup("report/heading", level=3, anchor="", text=text, below=""), f"{text}:")


def has_nothing(shown: Any) -> bool:
    """Whether a view or chart only says why it has nothing to show."""
    facts = shown.facts if isinstance(shown, View) else getattr(getattr(shown, "layout", None), "meta", None)
    return isinstance(facts, Mapping) and NOTHING in facts


def below(*views: View) -> View:
    """Views below each other, as one."""
    return View("".join(view.as_html for view in views), "\n".join(view.as_text for view in views))


def in_words(answers: Mapping[str, Sequence[str]]) -> View:
    """Each question with its sentences; no sentence appears twice, and a question without any is left out."""
    heard: set[str] = set()
    said: list[tuple[str, list[str]]] = []
    for question, sentences in answers.items():
        new = [one for one in dict.fromkeys(sentences) if one not in heard]
        heard.update(new)
        if new:
            said.append((question, new))
    return View(
        markup("report/words", said=said),
        "\n\n".join("\n".join((question, *sentences)) for question, sentences in said),
    )


def plain_html(text: str) -> str:
    """A text of several lines as HTML, unchanged."""
    return markup("report/plain", text=text)
