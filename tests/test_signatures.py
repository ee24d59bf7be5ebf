"""What Shift-Tab, completion and type checkers know of the public functions."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell

import workbench
from workbench import settings
from workbench.settings import SECRETS, Settings
from workbench.settings.signature import OF_A_SERVICE, WorkedOut, default_of, source

OF_SETTINGS = ("sweep", "load", "find_limit", "batch")


def test_the_keyword_arguments_of_type_checkers_are_those_of_the_model() -> None:
    """Where this fails, `python -m workbench.settings.signature` writes the file anew."""
    assert (Path(settings.__file__).parent / "parameters.py").read_text(encoding="utf-8") == source()


@pytest.mark.parametrize("name", OF_SETTINGS)
def test_a_signature_has_every_setting_with_its_type_and_default(name: str) -> None:
    parameters = inspect.signature(getattr(workbench, name)).parameters
    assert [one for one in Settings.model_fields if one not in SECRETS and one not in parameters] == []
    assert not set(parameters) & SECRETS
    assert not [one for one in parameters.values() if one.kind is inspect.Parameter.VAR_KEYWORD]
    for field, model in Settings.model_fields.items():
        if field not in SECRETS:
            shown = parameters[field]
            assert shown.annotation is not inspect.Parameter.empty
            assert shown.default == default_of(model) or isinstance(shown.default, WorkedOut), field
    assert str(parameters["rate"]) == "rate: float | None = None"
    assert str(parameters["runs_dir"]).endswith("Path = ...")  # as of the project that is worked in
    assert "order" in parameters or name != "batch"


def test_a_profiled_service_has_the_settings_of_what_is_measured() -> None:
    parameters = inspect.signature(workbench.profiling).parameters
    wanted = [name for group in OF_A_SERVICE for name in group.model_fields if name not in SECRETS]
    assert [name for name in wanted if name not in parameters] == []
    assert "receipts" not in parameters


@pytest.mark.parametrize("name", ["sweep", "load", "compare", "runs"])
def test_a_room_that_is_called_says_what_its_function_does(name: str) -> None:
    room: Callable[..., Any] = getattr(workbench, name)
    assert "\n" in str(inspect.getdoc(room))
    assert inspect.signature(room).parameters


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("workbench.sweep(rece", "receipts="),
        ("workbench.load(num_", "num_receipts="),
        ("workbench.find_limit(cap", "capacity="),
        ("workbench.batch(axes={}, ord", "order="),
        ("workbench.compare(any", "anyway="),
    ],
)
def test_ipython_completes_the_settings(typed: str, offered: str) -> None:
    shell = InteractiveShell()  # type: ignore[no-untyped-call]
    shell.user_ns["workbench"] = workbench
    with provisionalcompleter():
        assert offered in [one.text for one in shell.Completer.completions(typed, len(typed))]
