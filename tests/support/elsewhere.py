"""The server's command line on a system with less than Linux has: no POSIX modules, no signal handlers of a loop.

python -m support.elsewhere COMMAND ...: `safelight-server COMMAND ...` as on Windows, as far as Linux can tell.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import Any, NoReturn

MODULES = ("crypt", "fcntl", "grp", "posix", "pty", "pwd", "resource", "spwd", "syslog", "termios", "tty")
OS = (
    "O_CLOEXEC", "O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK", "chown", "fchmod", "fchown", "fork", "forkpty", "geteuid",
    "getegid", "getgid", "getgroups", "getloadavg", "getpgid", "getpriority", "getsid", "getuid", "killpg", "lchown",
    "mkfifo", "mknod", "nice", "openpty", "pread", "posix_fadvise", "pwrite", "register_at_fork", "sched_getaffinity",
    "sched_setaffinity", "sendfile", "setpgid", "setsid", "setuid", "statvfs", "sync", "sysconf", "uname", "wait3",
)  # fmt: skip
SIGNALS = (
    "SIGHUP",
    "SIGKILL",
    "SIGQUIT",
    "SIGUSR1",
    "SIGUSR2",
    "SIGXCPU",
    "pthread_kill",
    "pthread_sigmask",
    "setitimer",
)


def leave_out() -> None:
    """Takes it away from what is imported from now on; libraries that are there have what they took before."""
    for name in MODULES:
        sys.modules[name] = None  # type: ignore[assignment]  # which is how Python writes down that there is none
    for module, names in ((os, OS), (signal, SIGNALS)):
        for name in names:
            if hasattr(module, name):
                delattr(module, name)
    for method in ("add_signal_handler", "remove_signal_handler"):
        setattr(asyncio.SelectorEventLoop, method, _refuse)


def _refuse(*arguments: Any) -> NoReturn:
    raise NotImplementedError


def forget(*packages: str) -> None:
    """The next import of these packages runs their files anew. What is compiled cannot be loaded twice, and stays."""
    for name, module in list(sys.modules.items()):
        is_source = str(getattr(module, "__file__", "")).endswith(".py")
        if name.partition(".")[0] in packages and is_source and not name.startswith("safelight.v1"):
            del sys.modules[name]


def main() -> None:
    import safelight_server.__main__  # noqa: F401 - so that libraries take what is there

    leave_out()
    forget("safelight_server", "safelight")
    from safelight_server.__main__ import main as command_line

    command_line()


if __name__ == "__main__":
    main()
