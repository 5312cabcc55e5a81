"""Other systems than Linux. Nobody ran the book there; what can be held here is that it can be imported."""

from __future__ import annotations

import subprocess
import sys

import pytest

# The libraries are imported first, as on Linux. Then the package is, without what Windows's Python lacks.
SCRIPT = """
import importlib, multiprocessing, os, pkgutil, signal, sys
import safetune_utils

def import_all():
    found = pkgutil.walk_packages(safetune_utils.__path__, "safetune_utils.")
    names = [one.name for one in found if not one.name.endswith(("__main__", "server_process"))]
    for name in names:
        importlib.import_module(name)
    return len(names)

import_all()
for name in [name for name in sys.modules if name.split(".")[0] == "safetune_utils"]:
    del sys.modules[name]
for name in ("fcntl", "grp", "posix", "pty", "pwd", "readline", "resource", "syslog", "termios", "tty"):
    sys.modules[name] = None
WORDS = "SIG_BLOCK SIG_UNBLOCK SIG_SETMASK SIGHUP SIGKILL SIGQUIT SIGUSR1 SIGUSR2 SIGCHLD SIGALRM SIGPIPE"
for name in (*WORDS.split(), "pthread_sigmask", "pthread_kill", "sigwait", "alarm", "setitimer"):
    delattr(signal, name)
WORDS = "fork forkpty getuid geteuid getgid killpg getpgid setsid sched_getaffinity getloadavg statvfs mkfifo"
for name in (*WORDS.split(), "uname", "nice", "sysconf", "wait3", "chown", "fchown", "register_at_fork"):
    delattr(os, name)
multiprocessing.get_all_start_methods = lambda: ["spawn"]
print(import_all())
from safetune_utils.machine import memory, stopping
with stopping.signals_held_back(), memory.peak_memory() as peak:
    stopping.stop_on_signals()
assert memory.memory_bytes() > peak["bytes"] > 0
"""


@pytest.mark.slow
def test_every_module_is_imported_without_what_windows_lacks() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) > 150
