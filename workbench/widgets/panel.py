"""The base of all panels: widgets that a cell shows, and their last state as HTML for places without a kernel.

A notebook stores both. JupyterLab draws the widgets; an exported page, which has no kernel, shows the HTML. So the HTML
is updated whenever something has ended, not only when the cell has run.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import ipywidgets

from workbench import keyring
from workbench.errors import WorkbenchError
from workbench.markup import markup, safe
from workbench.masking import has_key, masked
from workbench.settings import without_passwords
from workbench.widgets.views import SaidView, on_change

VIEW = "application/vnd.jupyter.widget-view+json"
_LABEL_PX = "150px"


class Panel:
    """The base of panels. ``widget`` is drawn and can be put into other widgets. ``message``: the last message, for
    example an error."""

    def __init__(self) -> None:
        self.widget: Any = None
        self._said = SaidView(kind="message")
        self._display_id = f"workbench-{uuid.uuid4().hex}"
        self._displayed = False
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def message(self) -> str:
        """The last message; "" if there is none."""
        return str(self._said.text)

    def html(self) -> str:
        """The panel's state as HTML without kernel and script."""
        raise NotImplementedError

    def text(self) -> str:
        """The same as text: for a terminal, a log or a diff."""
        return repr(self)

    def say(self, text: str) -> None:
        """Show a message below the buttons, with keys masked; "" removes it."""
        self._said.text = masked(without_passwords(text))

    def keep(self) -> None:
        """Store the current state in the notebook, beside the widgets."""
        if self._displayed:
            from IPython.display import display

            display(self._bundle(), raw=True, display_id=self._display_id, update=True)  # type: ignore[no-untyped-call]

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Do ``work`` on the kernel's loop; errors are shown as a message. Raises RuntimeError if no loop runs."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            work.close()
            raise
        task = loop.create_task(self._told(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def done(self) -> None:
        """Wait until all work is done, for example in a notebook that is executed as a whole."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    async def _told(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except WorkbenchError as error:
            self.say(str(error))
        except Exception as error:  # otherwise the error would be lost
            self.say(f"unexpected error: {type(error).__name__}: {error}")

    def _bundle(self) -> dict[str, Any]:
        view = {"version_major": 2, "version_minor": 0, "model_id": self.widget.model_id}
        return {VIEW: view, "text/html": markup("widgets/panel", shown=safe(self.html())), "text/plain": self.text()}

    def _ipython_display_(self) -> None:
        from IPython.display import display

        self._displayed = True
        display(self._bundle(), raw=True, display_id=self._display_id)  # type: ignore[no-untyped-call]


def text_field(label: str, value: object = "", placeholder: str = "") -> Any:
    """A field for a line of text. Raises SettingsError for a value with the shape of a key, since fields are saved in
    the notebook."""
    shown = "" if value is None else str(value)
    keyring.refuse(shown, label)
    return ipywidgets.Text(
        value=without_passwords(shown),
        description=label,
        placeholder=placeholder,
        style={"description_width": _LABEL_PX},
        layout={"width": "34rem"},
    )


def choice_field(label: str, options: Sequence[Any], value: Any) -> Any:
    """A field with a few values to choose from."""
    return ipywidgets.Dropdown(
        options=list(options),
        value=value,
        description=label,
        style={"description_width": _LABEL_PX},
        layout={"width": "34rem"},
    )


def button(text: str, act: Callable[[], None], tooltip: str = "", style: str = "") -> Any:
    """A button that calls ``act``."""
    made = ipywidgets.Button(description=text, tooltip=tooltip, button_style=style)
    made.on_click(lambda _: act())
    return made


def without_secrets(panel: Panel, fields: Sequence[Any]) -> None:
    """Clear a field as soon as it contains a key or a password, and say so, since fields are saved in the notebook."""

    def watch(field: Any) -> None:
        def look(value: str) -> None:
            if has_key(value) or without_passwords(value) != value:
                field.value = ""
                panel.say(f"{field.description}: a key or a password cannot be entered here. {keyring.HINT}.")

        on_change(field, "value", look)

    for field in fields:
        watch(field)


def paragraphs(*lines: str) -> str:
    """Lines of text as HTML; empty ones are left out."""
    return markup("widgets/paragraphs", lines=lines)
