"""Which calls wait and which work: one table, each row with its reason.

A call **waits** if something else must happen before it returns: by another thread, a peer, a clock, a child. It
**works** if the kernel does what was asked, access to disks included. If the log does not show which, it **cannot be
told**. This depends on what a descriptor is and whether it blocks (see ``descriptors``), on flags and on the error.

The rows of one call are tried from top to bottom, and the first that fits decides. A call without a row works.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from workbench.profiles.readers.strace.descriptors import (
    BLOCKS,
    DEVICE,
    EVENTS,
    FILE,
    NEVER_BLOCKS,
    PIPE,
    SOCKET,
    TERMINAL,
    UNSEEN,
)

WORKING, WAITING, UNTOLD = 0, 1, 2
JUDGEMENTS = ("working", "waiting", "cannot be told")

# The reason of a call without a row.
DEFAULT = "the kernel does what was asked"
# Copying into a buffer with room takes less. A longer call may have waited for room, or had much to copy.
LONG_NS = 1_000_000


@dataclass(frozen=True, slots=True)
class Rule:
    """A row: how ``calls`` are judged, and why. All conditions given must hold. ``before`` and ``after`` are patterns
    of the arguments that strace writes when the call begins and when it ends (both: all arguments, if the call is on
    one line); ``kinds`` and ``mode`` are of the descriptor, ``errors`` of the result; ``long``: at least LONG_NS."""

    calls: str
    means: int
    why: str
    before: str = ""
    after: str = ""
    kinds: tuple[int, ...] = ()
    mode: int | None = None
    errors: tuple[str, ...] = ()
    long: bool = False


# Parts of the patterns: an argument's name, which strace 7 writes with -N, and a time of zero.
_NAME = r"(?:\w+=)?"
_ZERO = r"\{(?:tv_sec=)?0, (?:tv_[nu]sec=)?0\}"
_AGAIN = ("EAGAIN", "EWOULDBLOCK")

_NO_TIME = "asked not to wait (a time-out of 0)"
_NO_BLOCK = "the descriptor does not block (O_NONBLOCK)"
_ASKED_NOT = "told not to wait"
_CAME_BACK = "it came back at once with EAGAIN"
_UNKNOWN_BLOCK = "the log does not show whether the descriptor blocks"
_ROOM = "it copies into a buffer"
_NO_ROOM = "this long, it may have waited for room in the buffer, or had much to copy"

_READS = "read readv preadv2 recvfrom recv recvmsg recvmmsg recvmmsg_time64 mq_receive mq_timedreceive splice tee"
_SOCKET_READS = ("recvfrom", "recv", "recvmsg", "recvmmsg", "recvmmsg_time64")
_ACCEPTS = "accept accept4"
_WRITES = (
    "write writev pwritev2 sendto send sendmsg sendmmsg sendfile sendfile64 vmsplice mq_send mq_timedsend msgsnd "
    "copy_file_range"
)

RULES: tuple[Rule, ...] = (
    # for events
    Rule("epoll_wait", WORKING, _NO_TIME, after=rf", {_NAME}0$"),
    Rule("epoll_wait", WAITING, "waits for events on descriptors"),
    Rule("epoll_pwait", WORKING, _NO_TIME, after=rf", {_NAME}0, {_NAME}[^,]+, {_NAME}\w+$"),
    Rule("epoll_pwait2", WORKING, _NO_TIME, after=rf", {_NAME}{_ZERO}, {_NAME}[^,]+, {_NAME}\w+$"),
    Rule("epoll_pwait epoll_pwait2", WAITING, "waits for events on descriptors"),
    Rule("poll", WORKING, _NO_TIME, after=rf", {_NAME}0$"),
    Rule("poll", WAITING, "waits for events on descriptors"),
    Rule("ppoll ppoll_time64", WORKING, _NO_TIME, before=rf", {_NAME}\w+, {_NAME}{_ZERO}(?:,|$)"),
    Rule("ppoll ppoll_time64", WAITING, "waits for events on descriptors"),
    Rule("select _newselect", WORKING, _NO_TIME, before=rf", {_NAME}{_ZERO}$"),
    Rule("select _newselect", WAITING, "waits for events on descriptors"),
    Rule("pselect6 pselect6_time64", WORKING, _NO_TIME, before=rf", {_NAME}{_ZERO}, {_NAME}(?:NULL|0|\{{sigmask=.*)$"),
    Rule("pselect6 pselect6_time64", WAITING, "waits for events on descriptors"),
    Rule("io_getevents io_pgetevents io_pgetevents_time64", WORKING, _NO_TIME, after=rf", {_NAME}{_ZERO}$"),
    Rule(
        "io_getevents io_pgetevents io_pgetevents_time64",
        WORKING,
        "did not require any event",
        before=rf"^[^,]*, {_NAME}0,",
    ),
    Rule("io_getevents io_pgetevents io_pgetevents_time64", WAITING, "waits for I/O begun before"),
    Rule(
        "io_uring_enter",
        WAITING,
        "waits for entries to complete",
        before=rf"^[^,]*, {_NAME}\w+, {_NAME}(?:0x)?[1-9a-f]",
    ),
    Rule("io_uring_enter", WORKING, "did not require a completed entry"),
    # for a clock or a signal
    Rule("nanosleep clock_nanosleep clock_nanosleep_time64", WAITING, "waits for a clock"),
    Rule(
        "rt_sigtimedwait rt_sigtimedwait_time64",
        WORKING,
        _NO_TIME,
        after=rf", {_NAME}{_ZERO}, {_NAME}\w+$",
    ),
    Rule("rt_sigtimedwait rt_sigtimedwait_time64 pause rt_sigsuspend sigsuspend", WAITING, "waits for a signal"),
    Rule("restart_syscall", WAITING, "resumes a wait that a signal interrupted"),
    # for a child
    Rule("wait4 waitid waitpid", WORKING, "told not to wait (WNOHANG)", after=r"WNOHANG"),
    Rule("wait4 waitpid", WORKING, "told not to wait (WNOHANG)", after=rf", {_NAME}(?:0x[0-9a-f]*)?[13579bdf](?:,|$)"),
    Rule("wait4 waitid waitpid", WAITING, "waits for a child"),
    Rule("vfork", WAITING, "waits until the child runs another program"),
    Rule("clone clone3", WAITING, "waits until the child runs another program (CLONE_VFORK)", before="CLONE_VFORK"),
    # for another thread or process
    Rule("futex futex_time64", WORKING, "the value had changed: it did not wait", errors=_AGAIN),
    Rule(
        "futex futex_time64",
        WAITING,
        "waits for another thread (a lock, a condition, a join)",
        before=rf"^[^,]*, {_NAME}(?:0x[0-9a-f]+ /\* |\d+ /\* )?FUTEX_(?:WAIT|LOCK_PI)",
    ),
    Rule(
        "futex futex_time64",
        WAITING,
        "waits for another thread (a lock, a condition, a join)",
        # the operation as a number: FUTEX_WAIT 0, LOCK_PI 6, WAIT_BITSET 9, WAIT_REQUEUE_PI 11, LOCK_PI2 13
        before=rf"^[^,]*, {_NAME}(?:0|6|9|11|13|128|134|137|139|141|0x(?:1?[08])?[069bd])(?:,|$)",
    ),
    Rule("futex futex_time64", WAITING, "resumes a wait that a signal interrupted", before="^<"),
    Rule("futex futex_time64", UNTOLD, "the log does not show its operation", before="^$"),
    Rule("futex futex_time64", WORKING, "wakes others or changes a lock"),
    Rule("futex_wait futex_waitv", WAITING, "waits for another thread (a lock, a condition, a join)"),
    Rule("flock", WORKING, "gives a lock back", before=rf", {_NAME}(?:0x)?8(?: /\*|$)|LOCK_UN"),
    Rule("flock", WORKING, _ASKED_NOT, before=rf"LOCK_NB|, {_NAME}0x[4-7]$"),
    Rule("flock", WAITING, "waits for a lock on a file"),
    Rule(
        "fcntl fcntl64",
        WAITING,
        "waits for a lock on a file",
        before=rf"^[^,]*, {_NAME}(?:(?:0x[0-9a-f]+ /\* )?F_(?:OFD_)?SETLKW|0x7,|0x26,)",
    ),
    Rule("semop semtimedop semtimedop_time64", WORKING, _ASKED_NOT, before="IPC_NOWAIT"),
    Rule("semop semtimedop semtimedop_time64", WAITING, "waits for a semaphore", before=r"sem_op=(?:-|0\b)"),
    Rule("semop semtimedop semtimedop_time64", WORKING, "adds to a semaphore", before=r"sem_op=[1-9]"),
    Rule("semop semtimedop semtimedop_time64", UNTOLD, "the log does not show what it does to the semaphore"),
    Rule("msgrcv", WORKING, _ASKED_NOT, after="IPC_NOWAIT"),
    Rule("msgrcv", WAITING, "waits for a message"),
    # for what comes through a descriptor
    Rule(_READS, WORKING, "reads a file", kinds=(FILE,)),
    Rule(_READS, WORKING, _NO_BLOCK, mode=NEVER_BLOCKS),
    Rule(
        " ".join(_SOCKET_READS),
        WORKING,
        "told not to wait (MSG_DONTWAIT)",
        after=rf", {_NAME}(?:0x[0-9a-f]+ /\* )?[A-Z_|0-9x]*MSG_DONTWAIT",
    ),
    Rule(
        "recvfrom recv recvmsg",
        WORKING,
        "told not to wait (MSG_DONTWAIT)",
        after=rf"(?:[,}}] {_NAME}\d+|[}}]), {_NAME}0x[0-9a-f]*[4-7c-f][0-9a-f](?:,|$)",
    ),
    Rule(
        "recvfrom recv recvmsg",
        WORKING,
        "told not to wait (MSG_DONTWAIT)",
        # -e raw: all arguments are numbers, and all are written when the call begins
        before=r"^(?:0x\w+, ){1,3}0x[0-9a-f]*[4-7c-f][0-9a-f](?:$|, 0, 0$|, 0x\w+, 0x\w+$)",
    ),
    Rule("splice tee", WORKING, "told not to wait (SPLICE_F_NONBLOCK)", before="SPLICE_F_NONBLOCK"),
    Rule("preadv2", WORKING, "told not to wait (RWF_NOWAIT)", after="RWF_NOWAIT"),
    Rule(_READS, WAITING, "waited until the time-out of the socket", mode=BLOCKS, errors=_AGAIN),
    Rule(_READS, UNTOLD, "EAGAIN after this long may be a time-out of the socket", errors=_AGAIN, long=True),
    Rule(_READS, WORKING, _CAME_BACK, errors=_AGAIN),
    Rule(_READS, UNTOLD, "what the device does is not known", kinds=(DEVICE,)),
    Rule(_READS, WAITING, "waits for data from a peer or another process", mode=BLOCKS),
    Rule("mq_receive mq_timedreceive", WAITING, "waits for a message"),
    Rule(
        _READS,
        WAITING,
        "waits for data: pipes and terminals block unless told otherwise",
        kinds=(PIPE, TERMINAL, EVENTS),
    ),
    Rule(_READS, UNTOLD, _UNKNOWN_BLOCK, kinds=(SOCKET,)),
    Rule(_READS, UNTOLD, "the log does not show the kind of descriptor", kinds=(UNSEEN,)),
    Rule(_ACCEPTS, WORKING, _NO_BLOCK, mode=NEVER_BLOCKS),
    Rule(_ACCEPTS, WAITING, "waits for a peer to connect", mode=BLOCKS),
    Rule(_ACCEPTS, WORKING, _CAME_BACK, errors=_AGAIN),
    Rule(_ACCEPTS, UNTOLD, _UNKNOWN_BLOCK),
    Rule("connect", WORKING, _NO_BLOCK, mode=NEVER_BLOCKS),
    Rule("connect", WORKING, "it came back at once", errors=("EINPROGRESS", *_AGAIN)),
    Rule("connect", WORKING, "no answer of a peer is needed", before="sa_family=AF_(?:UNIX|LOCAL|UNSPEC|NETLINK)"),
    Rule("connect", WAITING, "waits for the peer's answer", mode=BLOCKS),
    Rule("connect", UNTOLD, _UNKNOWN_BLOCK),
    # for room
    Rule(_WRITES, WORKING, "writes to a file", kinds=(FILE,)),
    Rule(_WRITES, WORKING, _NO_BLOCK, mode=NEVER_BLOCKS),
    Rule(_WRITES, UNTOLD, _NO_ROOM, long=True),
    Rule(_WRITES, WORKING, _ROOM),
    # the rest
    Rule("ioctl", WAITING, "a request to wait", before=r"^[^,]*, (?:\w+=)?[^,\"]*WAIT"),
    Rule("ioctl", UNTOLD, "runs a guest, which may wait", before="KVM_RUN"),
    Rule("????", UNTOLD, "the log does not show which call it is"),
    Rule("fsync fdatasync sync syncfs sync_file_range msync", WORKING, "writes to the disk as asked"),
)


def reasons() -> tuple[str, ...]:
    """All reasons, each once; the first is the reason of calls without a row."""
    return tuple(dict.fromkeys((DEFAULT, *(rule.why for rule in RULES))))


def families(names: Sequence[str]) -> Iterator[tuple[list[int], list[Rule]]]:
    """Groups of calls with the same rows: their positions in ``names``, and these rows in order."""
    rows_of: dict[str, list[int]] = {}
    for row, rule in enumerate(RULES):
        for call in rule.calls.split():
            rows_of.setdefault(call, []).append(row)
    found: dict[tuple[int, ...], list[int]] = {}
    for number, name in enumerate(names):
        if name in rows_of:
            found.setdefault(tuple(rows_of[name]), []).append(number)
    for rows, numbers in found.items():
        yield numbers, [RULES[row] for row in rows]
