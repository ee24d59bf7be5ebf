"""What is waiting, what is working and what cannot be told: the table row by row, descriptors, and real logs."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.profiles.samples import beside
from tests.profiles.test_strace import calls_of, parse
from tests.profiles.tracing import compiled
from workbench.profiles.read import read_profile
from workbench.profiles.readers.strace.waiting import JUDGEMENTS, RULES, UNTOLD, WAITING, WORKING
from workbench.profiles.views import syscalls
from workbench.report.answers.strace import answer

YES, NO, UNSURE = JUDGEMENTS[WAITING], JUDGEMENTS[WORKING], JUDGEMENTS[UNTOLD]

ONE_LINE = {
    # futex: by name, as a number, with both, with the arguments' names
    "futex(0x7f, FUTEX_WAIT_BITSET_PRIVATE|FUTEX_CLOCK_REALTIME, 0, NULL) = 0": YES,
    "futex(uaddr=0x7f, futex_op=FUTEX_WAIT_PRIVATE, val=2, timeout=NULL) = 0": YES,
    "futex(0x7f, 0x189 /* FUTEX_WAIT_BITSET_PRIVATE|FUTEX_CLOCK_REALTIME */, 101, NULL, 0xffffffff) = 0": YES,
    "futex(uaddr=0x7f, futex_op=0x86 /* FUTEX_LOCK_PI_PRIVATE */, timeout=NULL) = 0": YES,
    "futex(0x7f, 0x109, 16325, NULL, 0xffffffff) = 0": YES,
    "futex(0x7f, 0, 1, NULL) = 0": YES,
    "futex(0x7f, 0x80, 0x65, 0) = 0": YES,
    "futex(0x7f, FUTEX_WAIT_PRIVATE, 2, NULL) = -1 EAGAIN (Resource temporarily unavailable)": NO,
    "futex(0x7f, FUTEX_WAKE_PRIVATE, 1) = 1": NO,
    "futex(uaddr=0x7f, futex_op=FUTEX_WAKE_PRIVATE, val=1) = 1": NO,
    "futex(0x7f, 0x81 /* FUTEX_WAKE_PRIVATE */, 1) = 1": NO,
    "futex(0x7f, 0x81, 1) = 1": NO,
    "futex(0x7f, 1, 1) = 1": NO,
    "<... futex resumed>) = 0": UNSURE,
    # for events
    "epoll_wait(3, [], 1024, -1) = 0": YES,
    "epoll_wait(3, [], 1024, 0) = 0": NO,
    "epoll_wait(epfd=3, events=[], maxevents=1024, timeout=0) = 0": NO,
    "epoll_pwait(3, [], 1024, 0, NULL, 8) = 0": NO,
    "epoll_pwait(3, [], 1024, 10, NULL, 8) = 0": YES,
    "epoll_pwait2(3, [], 8, {tv_sec=0, tv_nsec=0}, NULL, 8) = 0": NO,
    "epoll_pwait2(3, [], 8, NULL, NULL, 8) = 0": YES,
    "epoll_ctl(3, EPOLL_CTL_ADD, 4, {}) = 0": NO,
    "poll([{fd=7, events=POLLIN}], 1, 0) = 0 (Timeout)": NO,
    "poll(fds=[{fd=7, events=0x1 /* POLLIN */}], nfds=1, timeout=10) = 0 (Timeout)": YES,
    "ppoll([{fd=7, events=POLLIN}], 1, {tv_sec=0, tv_nsec=0}, NULL, 8) = 0 (Timeout)": NO,
    "ppoll([{fd=7, events=POLLIN}], 1, NULL, NULL, 8) = 1": YES,
    "select(4, [3], NULL, NULL, {tv_sec=0, tv_usec=0}) = 0 (Timeout)": NO,
    "select(4, [3], NULL, NULL, {tv_sec=1, tv_usec=0}) = 0 (Timeout)": YES,
    "pselect6(4, [3], NULL, NULL, {tv_sec=0, tv_nsec=0}, NULL) = 0 (Timeout)": NO,
    "pselect6(4, [3], NULL, NULL, NULL, {sigmask=[CHLD], sigsetsize=8}) = 1": YES,
    "io_getevents(0x7f, 1, 64, [], NULL) = 1": YES,
    "io_getevents(0x7f, 0, 64, [], NULL) = 0": NO,
    "io_uring_enter(4, 0, 1, IORING_ENTER_GETEVENTS, NULL, 8) = 0": YES,
    "io_uring_enter(fd=4, to_submit=0, min_complete=1, flags=0x1, sig=NULL, sigsz=8) = 0": YES,
    "io_uring_enter(4, 1, 0, 0, NULL, 8) = 1": NO,
    # for a clock, a signal, a child
    "nanosleep({tv_sec=1, tv_nsec=0}, NULL) = 0": YES,
    "rt_sigtimedwait([HUP], NULL, NULL, 8) = 1": YES,
    "rt_sigtimedwait([HUP], NULL, {tv_sec=0, tv_nsec=0}, 8) = -1 EAGAIN (Resource temporarily unavailable)": NO,
    "pause() = ? ERESTARTNOHAND (To be restarted if no handler)": YES,
    "wait4(-1, NULL, 0, NULL) = 5": YES,
    "wait4(-1, NULL, WNOHANG|WSTOPPED, NULL) = 0": NO,
    "wait4(pid=-1, status=NULL, options=0x1, usage=NULL) = 0": NO,
    "waitid(P_PIDFD, 3, {si_signo=SIGCHLD}, WEXITED, NULL) = 0": YES,
    "vfork() = 12": YES,
    "clone3({flags=CLONE_VM|CLONE_VFORK, exit_signal=SIGCHLD}, 88) = 12": YES,
    "clone3({flags=CLONE_VM|CLONE_THREAD, exit_signal=0}, 88) = 12": NO,
    # for a lock, a message
    "flock(3, LOCK_EX) = 0": YES,
    "flock(3, LOCK_EX|LOCK_NB) = -1 EAGAIN (Resource temporarily unavailable)": NO,
    "flock(fd=3, op=0x8 /* LOCK_UN */) = 0": NO,
    "flock(3, 0x2) = 0": YES,
    "fcntl(3, F_SETLKW, {l_type=F_WRLCK, l_whence=SEEK_SET, l_start=0, l_len=0}) = 0": YES,
    "fcntl(3, 0x7, {l_type=0x1, l_whence=0, l_start=0, l_len=0}) = 0": YES,
    "fcntl(3, F_SETLK, {l_type=F_WRLCK, l_whence=SEEK_SET, l_start=0, l_len=0}) = 0": NO,
    "fcntl(3, F_GETFL) = 0x2 (flags O_RDWR)": NO,
    "semop(1, [{sem_num=0, sem_op=-1, sem_flg=0}], 1) = 0": YES,
    "semop(1, [{sem_num=0, sem_op=1, sem_flg=0}], 1) = 0": NO,
    "semop(1, [{sem_num=0, sem_op=-1, sem_flg=IPC_NOWAIT}], 1) = 0": NO,
    'msgrcv(1, {1, "x"}, 8, 0, 0) = 1': YES,
    'msgrcv(1, {1, "x"}, 8, 0, IPC_NOWAIT) = 1': NO,
    # through a descriptor
    'read(3<pipe:[77]>, "a", 1) = 1': YES,
    'read(fd=3<pipe:[77]>, buf="a", count=1) = 1': YES,
    'read(0</dev/pts/0>, "a", 1) = 1': YES,
    'read(0</dev/pts/0<char 136:0>>, "a", 1) = 1': YES,
    'read(3</etc/passwd>, "a", 1) = 1': NO,
    'read(3</etc/passwd<block 8:1>>, "a", 1) = 1': NO,
    'read(3</dev/urandom<char 1:9>>, "a", 1) = 1': NO,
    'read(9<{eventfd-count=0, eventfd-id=1, eventfd-semaphore=0}>, "a", 8) = 8': YES,
    "read(9<anon_inode:[eventfd]>, 0x7f, 8) = -1 EAGAIN (Resource temporarily unavailable)": NO,
    'read(3, "a", 1) = 1': UNSURE,
    'pread64(3, "a", 1, 0) = 1': NO,
    'recvfrom(3<TCP:[127.0.0.1:4->127.0.0.1:5]>, "r", 100, 0, NULL, NULL) = 1': UNSURE,
    'recvfrom(3, "r", 100, MSG_DONTWAIT, NULL, NULL) = 1': NO,
    'recvfrom(sockfd=3, buf="r", len=100, flags=0x40 /* MSG_DONTWAIT */, src_addr=NULL, addrlen=NULL) = 1': NO,
    'recvfrom(3, "r", 100, MSG_DONTWAIT, {sa_family=AF_INET, sin_addr=inet_addr("1.2.3.4")}, [16]) = 1': NO,
    'recvfrom(3, "r", 100, 0x40, NULL, NULL) = 1': NO,
    'recvfrom(3, "MSG_DONTWAIT", 100, 0, NULL, NULL) = 12': UNSURE,
    "recvmsg(3, {msg_name=NULL, msg_namelen=0, msg_iovlen=1, msg_flags=0}, 0x40) = 5": NO,
    "recvmsg(3, {msg_name=NULL, msg_iov=[], msg_flags=0}, 0) = -1 EAGAIN (Resource temporarily unavailable)": NO,
    "accept4(3, NULL, NULL, SOCK_CLOEXEC) = 5": UNSURE,
    "connect(3, {sa_family=AF_INET, sin_port=htons(80)}, 16) = -1 EINPROGRESS (Operation now in progress)": NO,
    "connect(3, {sa_family=AF_INET, sin_port=htons(80)}, 16) = 0": UNSURE,
    'connect(3, {sa_family=AF_UNIX, sun_path="/run/x"}, 110) = 0': NO,
    'write(1, "x", 1) = 1 <0.000010>': NO,
    'write(1, "x", 1) = 1 <0.900000>': UNSURE,
    'write(1</var/log/x>, "x", 1) = 1 <0.900000>': NO,
    "fsync(3) = 0 <0.900000>": NO,
    "ioctl(3, DRM_IOCTL_WAIT_VBLANK, 0x7f) = 0": YES,
    "ioctl(3, FIONBIO, [1]) = 0": NO,
    "????( <detached ...>": UNSURE,
}


@pytest.mark.parametrize("line", ONE_LINE)
def test_one_line(line: str) -> None:
    table = calls_of(parse(f"7 12:00:00.000000 {line}\n"))
    assert (table["judged"].tolist(), bool(table["why"].iloc[0])) == ([ONE_LINE[line]], True)


DESCRIPTORS = [
    # what made the descriptor says what it is, and whether it blocks
    (["socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, IPPROTO_TCP) = 3"], "recvfrom(3, 0x1, 9, 0, NULL, NULL) = 5", YES),
    (["socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_TCP) = 3"], "recvfrom(3, 0x1, 9, 0, NULL, NULL) = 5", NO),
    (["socket(0x2, 0x801, 0) = 3"], "read(3, 0x1, 9) = 5", NO),
    (["socket(domain=AF_INET, type=SOCK_STREAM, protocol=0) = 3"], "connect(3, {sa_family=AF_INET}, 16) = 0", YES),
    (["accept4(9, NULL, NULL, SOCK_CLOEXEC|SOCK_NONBLOCK) = 3"], "recvmsg(3, {msg_flags=0}, 0) = 5", NO),
    (["accept4(9, {sa_family=0x2, sin_port=htons(38042)}, [16], 0x80800) = 3"], "recvmsg(3, {}, 0) = 5", NO),
    (["accept(9, NULL, NULL) = 3"], "recvmsg(3, {msg_flags=0}, 0) = 5", YES),
    (["socketpair(AF_UNIX, SOCK_STREAM, 0, [3, 4]) = 0"], "read(4, 0x1, 9) = 5", YES),
    (["socketpair(AF_UNIX, SOCK_STREAM|SOCK_NONBLOCK, 0, [3, 4]) = 0"], "read(4, 0x1, 9) = 5", NO),
    (["pipe2([7<pipe:[12]>, 8<pipe:[12]>], O_NONBLOCK) = 0"], "read(7, 0x1, 9) = 5", NO),
    (["pipe2(pipefd=[7, 8], flags=0x80000 /* O_CLOEXEC */) = 0"], "read(fd=7, buf=0x1, count=9) = 5", YES),
    (["eventfd2(0, EFD_CLOEXEC|EFD_NONBLOCK) = 3"], "read(3, 0x1, 8) = 8", NO),
    (["timerfd_create(CLOCK_MONOTONIC, 0) = 3"], "read(3, 0x1, 8) = 8", YES),
    (['openat(AT_FDCWD, "/etc/NONBLOCK", O_RDONLY) = 3'], "read(3, 0x1, 9) = 5", NO),
    (['openat(AT_FDCWD, "/dev/tty", O_RDWR) = 3'], "read(3, 0x1, 9) = 5", YES),
    (['openat(AT_FDCWD, "/dev/kmsg", O_RDWR) = 3'], "read(3, 0x1, 9) = 5", UNSURE),
    # and what changed it
    (["socket(AF_INET, SOCK_STREAM, 0) = 3", "fcntl(3, F_SETFL, O_RDWR|O_NONBLOCK) = 0"], "read(3, 0x1, 9) = 5", NO),
    (["socket(AF_INET, SOCK_STREAM, 0) = 3", "fcntl(3, 0x4, 0x802) = 0"], "read(3, 0x1, 9) = 5", NO),
    (["socket(AF_INET, SOCK_STREAM, 0) = 3", "ioctl(3, FIONBIO, [1]) = 0"], "read(3, 0x1, 9) = 5", NO),
    (["socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, 0) = 3", "ioctl(3, FIONBIO, [0]) = 0"], "read(3, 0x1, 9) = 5", YES),
    (["socket(AF_INET, SOCK_STREAM, 0) = 3", "dup(3) = 5", "dup2(5, 6) = 6"], "read(6, 0x1, 9) = 5", YES),
    (["socket(AF_INET, SOCK_STREAM, 0) = 3", "fcntl(3, F_DUPFD_CLOEXEC, 4) = 5"], "read(5, 0x1, 9) = 5", YES),
    (["socket(AF_INET, SOCK_STREAM, 0) = 3", "close(3) = 0"], "read(3, 0x1, 9) = 5", UNSURE),
    (["close(3) = 0", "socket(AF_INET, SOCK_STREAM, 0) = 3"], "read(3, 0x1, 9) = 5", YES),
    (['openat(AT_FDCWD, "/x", O_RDONLY) = -1 ENOENT (No such file or directory)'], "read(3, 0x1, 9) = 5", UNSURE),
    # EAGAIN says that it does not block, of a descriptor whose making is not in the log
    (
        ["recvfrom(3, 0x1, 9, 0, NULL, NULL) = -1 EAGAIN (Again) <0.000010>"],
        "recvfrom(3, 0x1, 9, 0, NULL, NULL) = 5",
        NO,
    ),
    (["recvfrom(3, 0x1, 9, MSG_DONTWAIT, NULL, NULL) = -1 EAGAIN (Again) <0.000010>"], "read(3, 0x1, 9) = 5", UNSURE),
    (["recvfrom(3, 0x1, 9, 0, NULL, NULL) = -1 EAGAIN (Again) <0.900000>"], "read(3, 0x1, 9) = 5", UNSURE),
    # but of one that blocks it is a time-out
    (["socket(AF_INET, SOCK_STREAM, 0) = 3"], "recvfrom(3, 0x1, 9, 0, NULL, NULL) = -1 EAGAIN (Again) <0.000010>", YES),
]


@pytest.mark.parametrize(("before", "line", "judged"), DESCRIPTORS)
def test_descriptors(before: list[str], line: str, judged: str) -> None:
    log = "".join(f"7 12:00:00.000000 {text}\n" for text in (*before, line))
    assert calls_of(parse(log))["judged"].iloc[-1] == judged


def test_later_evidence_counts_for_a_descriptor_from_before_the_log() -> None:
    log = (
        "7 recvfrom(3, 0x1, 9, 0, NULL, NULL) = 5 <0.000010>\n"
        "7 recvfrom(3, 0x1, 9, 0, NULL, NULL) = -1 EAGAIN (Again) <0.000010>\n"
    )
    assert calls_of(parse(log))["judged"].tolist() == [NO, NO]


def test_threads_share_descriptors_and_children_have_copies() -> None:
    log = (
        "7 socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, 0) = 3\n"
        "7 clone3({flags=0x3d0f00, exit_signal=0} => {parent_tid=[8]}, 88) = 8\n"
        "8 read(3, 0x1, 9) = 5\n"
        "8 fork() = 9\n"
        "9 read(3, 0x1, 9) = 5\n"
        "9 close(3) = 0\n"
        "9 socket(AF_INET, SOCK_STREAM, 0) = 3\n"
        "9 read(3, 0x1, 9) = 5\n"
        "7 read(3, 0x1, 9) = 5\n"
        "7 socket(AF_INET, SOCK_STREAM, 0) = 4\n"
        "9 read(4, 0x1, 9) = 5\n"
    )
    calls = calls_of(parse(log))
    assert calls["judged"][calls["syscall"] == "read"].tolist() == [NO, NO, YES, NO, UNSURE]


def test_an_interrupted_call_is_judged_by_both_its_parts() -> None:
    log = (
        "7 recvfrom(3 <unfinished ...>\n"
        "8 epoll_wait(4,  <unfinished ...>\n"
        '7 <... recvfrom resumed>, "x", 9, MSG_DONTWAIT, NULL, NULL) = 1\n'
        "8 <... epoll_wait resumed>[], 1024, 0) = 0\n"
        "7 futex(0x1, 0x189, 0, NULL <unfinished ...>\n"
    )
    assert calls_of(parse(log))["judged"].tolist() == [NO, NO, YES]


@pytest.mark.parametrize(
    ("text", "fd"),
    [
        ("read(fd=3, buf=0x1, count=9) = 5", 3),
        ("read(3<TCP:[1.2.3.4:5->6.7.8.9:10]>, 0x1, 9) = 5", 3),
        ("read(3</a b,c>, 0x1, 9) = 5", 3),
        ("read(0x3, 0x1, 0x9) = 0x5", 3),
        ("read(fd=0x1f</x>, buf=0x1, count=9) = 5", 31),
        ("recvfrom(sockfd=12<socket:[1]>, buf=0x1, len=9, flags=0, src_addr=NULL, addrlen=NULL) = 5", 12),
        ("fcntl(fd=3<pipe:[1]>, op=F_GETFL) = 0", 3),
        ("read(-1, 0x1, 9) = -1 EBADF (Bad file descriptor)", None),
        ("socket(AF_INET, SOCK_STREAM, 0) = 3", None),
    ],
)
def test_the_descriptor(text: str, fd: int | None) -> None:
    found = calls_of(parse(f"7 {text}\n"))["fd"].tolist()
    assert found == [fd] or (fd is None and found[0] is not found[0]) or str(found[0]) == "<NA>"


def test_each_row_of_the_table_says_why_and_the_guide_has_it() -> None:
    guide = " ".join((Path(__file__).resolve().parents[2] / "docs" / "waiting.md").read_text().split())
    for rule in RULES:
        assert rule.why in guide, rule
        assert all(f"`{call}`" in guide for call in rule.calls.split()), rule


# the files that were reported


@pytest.mark.parametrize("name", ["futex-plain", "futex-argnames", "futex-verbose"])
def test_the_same_log_in_other_styles_has_the_same_answer(name: str) -> None:
    profile = read_profile(beside(f"reported/{name}.strace"))
    table = syscalls.call_table(profile).set_index("syscall")
    assert table.loc["futex", "waiting_ns"] == 900_000_000
    assert repr(answer(profile)).startswith("No: ")
    assert profile.tables["calls"].set_index("syscall").loc["read", "fd"] == 3


def test_an_answer_that_what_is_undecided_could_turn_cannot_be_told() -> None:
    profile = read_profile(beside("reported/blocking-recv.strace"))
    said = repr(answer(profile))
    assert said.startswith("Not known: cli (100) spent 100 % of its life")
    assert "the log does not show whether the descriptor blocks" in said
    assert syscalls.thread_table(profile)[["working_ns", "waiting_ns", "undecided_ns"]].to_numpy().tolist() == [
        [220_000, 0, 900_000_000]
    ]
    [row] = syscalls.slowest(profile, 1).to_dict("records")
    assert (row["judged"], row["why"]) == (UNSURE, "the log does not show whether the descriptor blocks")


# real logs

PROGRAM = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
static void *work(void *fd) { prctl(PR_SET_NAME, "worker"); usleep(30000); write(*(int *)fd, "x) = 3", 6); return 0; }
int main(void) {
    int s[2], n[2], p[2], status, e = eventfd(0, EFD_NONBLOCK);
    char b[10];
    pthread_t t;
    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s);
    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, n);
    pthread_create(&t, 0, work, &s[1]);
    recv(s[0], b, 10, 0);
    recv(n[0], b, 10, 0);
    recv(s[0], b, 10, MSG_DONTWAIT);
    pthread_join(t, 0);
    pipe2(p, O_CLOEXEC);
    read(e, b, 8);
    if (!fork()) { usleep(20000); write(p[1], "hi", 2); _exit(0); }
    read(p[0], b, 2);
    wait(&status);
    struct pollfd one = {p[0], POLLIN, 0};
    poll(&one, 1, 0);
    poll(&one, 1, 10);
    int f = open("/etc/passwd", O_RDONLY);
    read(f, b, 4);
    flock(f, LOCK_SH);
    flock(f, LOCK_UN);
    return 0;
}
"""
STYLES = [
    ("-f", "-tt", "-T"),
    ("-f", "-tt", "-T", "-X", "raw"),
    ("-f", "-tt", "-T", "-X", "verbose"),
    ("-f", "-ttt", "-T", "-y"),
    ("-f", "-ttt", "-T", "-yy", "-X", "verbose"),
    ("-f", "-tt", "-T", "-Y", "-yy", "-n", "-i", "-r"),
    ("-f", "-tt", "-T", "-N"),
    ("-f", "-tt", "-T", "-N", "-X", "raw", "-yy", "--color=always"),
    ("-f", "-tt", "-T", "-e", "raw=futex,wait4,flock,fcntl,poll"),
]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(tmp_path_factory.mktemp("waits"), PROGRAM)


@pytest.mark.parametrize("flags", STYLES, ids=" ".join)
def test_every_style_of_one_run_is_judged_alike(program: Path, flags: tuple[str, ...]) -> None:
    log = program.with_name("log")
    run = subprocess.run(["strace", "-o", str(log), *flags, str(program)], check=False, capture_output=True)
    if run.returncode and re.search(rb"(?:invalid|unrecognized) option", run.stderr):
        pytest.skip(f"this strace has no {' '.join(flags)}")
    assert run.returncode == 0, run.stderr
    calls = calls_of(read_profile(log.read_bytes()))
    judged = {name: rows["judged"].tolist() for name, rows in calls.groupby(calls["syscall"].astype("str"))}
    assert judged["recvfrom"] == [YES, NO, NO]
    assert judged["read"][-3:] == [NO, YES, NO]  # the eventfd that does not block, the pipe, the file
    assert judged["wait4"] == [YES]
    assert judged["clock_nanosleep"] == [YES, YES]
    if "raw=" not in " ".join(flags):
        assert judged["poll"] == [NO, YES]
    assert judged["flock"] == [YES, NO]
    assert set(judged["write"]) <= {NO, UNSURE}  # where the machine made one take a millisecond
    assert calls["fd"][calls["syscall"] == "recvfrom"].notna().all()
    threads = read_profile(log.read_bytes()).tables["threads"]
    assert threads["kind"].tolist() == ["root", "thread", "process"]
    assert "worker" in threads["name"].tolist()
