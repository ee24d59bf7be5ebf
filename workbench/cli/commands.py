"""The list of commands, in groups by task."""

from __future__ import annotations

from workbench.hints import NamedTuple


class Command(NamedTuple):
    """A command as it is typed: one word, or two where it is an action of another (``profile start``).

    Its module, named by the first word, has ``add_VERB(parser)``, which adds its arguments, and ``do_VERB(options)``,
    which does the work and returns the exit code; the verb is its last word. ``alone`` False: it only has ``actions``.
    ``before_dashes``: what follows ``--`` is another program's command, kept in ``options.command``. ``of_a_file``: it
    may be given a file and nothing else; its module has the DEFAULTS of all other arguments.
    """

    name: str
    summary: str
    actions: tuple[Command, ...] = ()
    alone: bool = True
    before_dashes: bool = False
    of_a_file: bool = False

    @property
    def module(self) -> str:
        """The module of the command."""
        return f"workbench.cli.{self.name.split()[0].replace('-', '_')}"

    @property
    def verb(self) -> str:
        """The name of its functions after ``add_`` and ``do_``."""
        return self.name.split()[-1].replace("-", "_")

    @property
    def prog(self) -> str:
        """The command as it is typed."""
        return f"workbench {'calibrate --aa' if self == NOISE else self.name}"


NOISE = Command("noise", "how far equal loads of a target differ: smaller differences are noise")
"""Runs as ``calibrate --aa``; it is separate because it has the settings of a load."""
_RUNS = (
    Command("runs show", "everything known about a run"),
    Command("runs tag", "give a run tags, or take them away"),
    Command("runs note", "write a note about a run"),
    Command("runs rm", "remove runs with all that is in their folders"),
    Command("runs history", "a figure over all runs, and where it changed"),
)
_BASELINE = (
    Command("baseline save", "keep a run by a name"),
    Command("baseline list", "show the baselines there are"),
    Command("baseline rm", "forget a baseline"),
)
_PROFILE = (
    Command("profile start", "start a service under a profiler, wait until it answers", before_dashes=True),
    Command("profile window", "cut a window around a command, or for some time", before_dashes=True),
    Command("profile status", "which services run under which profiler, and whether they answer"),
    Command("profile report", "what a receipt costs, from the windows of the session"),
    Command("profile stop", "stop the service: the profiler writes all it has"),
    Command("profile restore", "start again what ran before, wait until it answers"),
)
_NETWORK = (
    Command("network up", "start it, and return when all of it answers"),
    Command("network status", "what runs and answers, payers and balances"),
    Command("network set", "change a payer's balance, latency or failures"),
    Command("network down", "end all of it; the data stays"),
)

TASKS: tuple[tuple[str, tuple[Command, ...]], ...] = (
    (
        "Measure",
        (
            Command("load", "send receipts once and measure"),
            Command("sweep", "step the receipts up to the sender limit and past it"),
            Command("find-limit", "find the sender limit to the receipt, or the capacity"),
            Command("batch", "many sweeps by a plan, or one under each profiler"),
        ),
    ),
    (
        "Look",
        (
            Command("open", "show the report of a run or batch in the browser"),
            Command("runs", "list and query runs: show, tag, note, rm, history", _RUNS),
            Command("findings", "ranked findings from the profiles of a run or batch"),
            Command("report", "make the notebook and report of a run again"),
            Command("export", "write what a run measured in another tool's format"),
        ),
    ),
    (
        "Compare",
        (
            Command("compare", "what a receipt costs before and after, and why"),
            Command("check", "the gate: check a run against a baseline, for CI"),
            Command("baseline", "keep runs by name: save, list, rm", _BASELINE, alone=False),
        ),
    ),
    (
        "Profile",
        (
            Command("profile", "a service under a profiler: start, window, stop", _PROFILE, alone=False),
            Command("read", "the totals of a profile file, what costs most, notes", of_a_file=True),
            Command("diff", "what changed from one profile to another"),
            Command("view", "a profile as one offline page, or in SnakeViz"),
            Command("convert", "write a profile in another tool's format"),
        ),
    ),
    (
        "Set up",
        (
            Command("doctor", "what is missing here, and the command that fixes it"),
            Command("calibrate", "how fast this machine can send without falling behind"),
            Command("network", "what the real programs need: up, status, set, down", _NETWORK, alone=False),
            Command("standin", "run the stand-in of the two programs by itself"),
            Command("requests", "signed requests for vegeta or k6 to send"),
            Command("completion", "the script that completes commands in your shell"),
        ),
    ),
)
COMMANDS = {command.name: command for _, commands in TASKS for command in commands}


def every() -> tuple[Command, ...]:
    """All commands and actions that do something."""
    listed = (one for command in (*COMMANDS.values(), NOISE) for one in (command, *command.actions))
    return tuple(one for one in listed if one.alone)


def overview(*, actions: bool = False) -> str:
    """The commands in their groups, on one screen; ``actions``: with theirs, which takes more."""
    lines = ["usage: workbench COMMAND [options]", ""]
    lines.append("Load-test and profile indexer-service and tap-agent as one experiment.")
    for task, commands in TASKS:
        for number, command in enumerate(commands):
            for one in (command, *command.actions) if actions else (command,):
                start = task if one == commands[0] and not number else ""
                name = one.name if one == command else f"  {one.verb}"
                lines.append(f"  {start:8} {name:11} {one.summary}")
    lines += ["", "COMMAND --help shows its options; workbench --help-all lists all actions too."]
    lines.append("Settings also come from WORKBENCH_* variables and from workbench.toml.")
    return "\n".join(lines)


def actions_of(command: Command) -> str:
    """The help of a command that only has actions."""
    lines = [f"usage: {command.prog} ACTION [options]", "", _sentence(command.summary), ""]
    lines += [f"  {one.verb:10} {one.summary}" for one in command.actions]
    return "\n".join([*lines, "", f"`{command.prog} ACTION --help` shows the options of each."])


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
