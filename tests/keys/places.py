"""Every place of the command line where a value can be given, made from the parsers themselves."""

from __future__ import annotations

import argparse
import json
import secrets
from collections.abc import Iterator

from workbench.cli.commands import NOISE, Command
from workbench.cli.program import parser_of
from workbench.settings import SECRETS, Settings

FORMS = ("{key}", "0x{key}", "http://{key}:x@127.0.0.1:1/{key}?a={key}", "20,{key},30", "abc{key}", "{key}=1")


def new_key() -> str:
    """64 random hex digits."""
    return secrets.token_hex(32)


def lines(command: Command) -> Iterator[list[str]]:
    """A command line for each option and argument of ``command`` with a key as its value, and some that no
    parser knows. A deployment may be 32 bytes of hex.

    The forms go round, so that each option meets one and all forms are met.
    """
    number = 0
    typed = ["calibrate", "--aa"] if command == NOISE else command.name.split()
    needed = [
        next(iter(action.choices)) if action.choices else "given"
        for action in parser_of(command)._actions
        if not action.option_strings and action.nargs not in ("?", "*", argparse.REMAINDER)
    ]
    for action in parser_of(command)._actions:
        if isinstance(action, argparse._StoreTrueAction) or action.dest == "deployment":
            continue
        number += 1
        value = FORMS[number % len(FORMS)].format(key=new_key())
        if not action.option_strings:
            yield [*typed, value]
        elif action.nargs == 0:
            yield [*typed, *needed, f"{action.option_strings[0]}={value}"]
        else:
            yield [*typed, *needed, action.option_strings[-1], value]
    for form in FORMS:
        yield [*typed, form.format(key=new_key())]
        yield [*typed, *needed, "--signer-keys", form.format(key=new_key())]
        yield [*typed, *needed, "--" + form.format(key=new_key())]


def variables() -> Iterator[tuple[str, str]]:
    """A key as the value of each variable of ours, and in the name of one."""
    for number, name in enumerate(sorted(set(Settings.model_fields) - SECRETS)):
        value = FORMS[number % len(FORMS)].format(key=new_key())
        field = Settings.model_fields[name]
        yield "WORKBENCH_" + name.upper(), json.dumps([value]) if "list" in str(field.annotation) else value
    for value in (new_key(), "[" + new_key(), json.dumps({"key": new_key()}), json.dumps([new_key() + "zz"])):
        yield "WORKBENCH_SIGNER_KEYS", value
    yield "WORKBENCH_" + new_key().upper(), "1"
    yield "WORKBENCH_CONFIG", new_key()
    yield "WORKBENCH_PAYERS", new_key()


def files() -> Iterator[str]:
    """Settings files with a key where it does not belong."""
    for name in sorted(set(Settings.model_fields) - SECRETS):
        yield f'{name} = "{new_key()}"\n'
    yield f'signer_keys = "{new_key()}"\n'
    yield f'signer_keys = ["{new_key()}zz"]\npayers = ["0x{"11" * 20}"]\n'
    yield f"{new_key()}\n"
    yield f'"{new_key()}" = 1\n'
    yield f'name = "{new_key()}\n'
    yield f'[rate]\nx = ["{new_key()}", {{ y = 0x{new_key()} }}]\n'
