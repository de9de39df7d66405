"""/opt/cattle/state VERB [ARGS]: carries the app's state between droplets.

Answers are lines of JSON on stdout; the last one is {"error": …} where the exit
status is 1. What people may read goes to stderr."""
import errno
import importlib
import os
import sys

import compiled
compiled.prefer()
import machine

# Each verb's module and function, and the lock that it holds meanwhile.
VERBS = {
    "prepare": ("start", "prepare", "state"),
    "start": ("start", "start", "state"),
    "migrate": ("start", "migrate", "state"),
    "check": ("start", "check", ""),
    "lend": ("lend", "lend", "lend"),
    "return": ("lend", "give_back", "lend"),
    "freeze": ("freeze", "freeze", "state"),
    "commit": ("freeze", "commit", "state"),
    "thaw": ("freeze", "thaw", "state"),
    "part": ("volumes", "part", "state"),
    "join": ("volumes", "join", ""),
    "attend": ("attend", "attend", ""),
    "keep": ("freeze", "keep", ""),
    "pull": ("pull", "pull", "pull"),
    "serve": ("link", "serve", ""),
    "writes": ("writes", "writes", ""),
    "backup": ("backup", "backup", ""),
    "backups": ("backup", "backups", ""),
    "restore": ("restore", "restore", ""),
    "verify": ("restore", "verify", ""),
    "schedule": ("timers", "schedule", ""),
}


def main(arguments: list[str]) -> None:
    if not arguments or arguments[0] not in VERBS:
        raise machine.Fault("engine", "the verbs are " + ", ".join(VERBS))
    module, function, lock = VERBS[arguments[0]]
    verb = getattr(importlib.import_module(module), function)
    if not lock:
        return verb(arguments[1:])
    with machine.locked(lock, wait=30 if arguments[0] == "thaw" else 10):
        verb(arguments[1:])


def fault(error: Exception) -> machine.Fault:
    """What to tell of an error. Of one that nobody foresaw, its kind alone: its
    text may hold anything."""
    if isinstance(error, machine.Fault):
        return error
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return machine.Fault("disk-full", "there is no room left on the disk")
    if os.environ.get("CATTLE_TRACE"):
        import traceback
        traceback.print_exception(error)
    where = error.__traceback__
    while where and where.tb_next:
        where = where.tb_next
    line = f" at {os.path.basename(where.tb_frame.f_code.co_filename)}:{where.tb_lineno}" if where else ""
    return machine.Fault("engine", f"{type(error).__name__}{line}")


os.umask(0o022)
# A forced command may be started without the folders of a machine's administrator.
os.environ["PATH"] = os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/sbin:/sbin"
try:
    main(sys.argv[1:])
except BrokenPipeError:
    os._exit(1)  # nobody is there any more who could be told
except Exception as error:
    machine.say({"error": fault(error).told()})
    sys.exit(1)
