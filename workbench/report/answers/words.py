"""Answers in words: questions as headings, sentences below them."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

from workbench.report.display import View


def sentence(text: str) -> View:
    """One sentence where a table or chart would stand."""
    return View(f"<p>{html.escape(text)}</p>", text)


def joined(view: View, text: str) -> View:
    """A view with a sentence below it."""
    below = sentence(text)
    return View(view.as_html + below.as_html, f"{view.as_text}\n{text}")


def in_words(answers: Mapping[str, Sequence[str]]) -> View:
    """Each question with its sentences; a question without any is left out."""
    said = {question: sentences for question, sentences in answers.items() if sentences}
    return View(
        "".join(
            f"<h3>{html.escape(question)}</h3>" + "".join(f"<p>{html.escape(sentence)}</p>" for sentence in sentences)
            for question, sentences in said.items()
        ),
        "\n\n".join("\n".join((question, *sentences)) for question, sentences in said.items()),
    )
