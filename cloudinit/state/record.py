"""What this droplet knows of its backups: the last one, the last failure, and
whether one is overdue. `status` tells it, and root is mailed."""
import os

import machine
import phase

FILE = "backup.json"


def read() -> dict:
    """last_ms and last_id of the newest backup, failed of the last try ("": it
    worked), since_ms of the schedule, pruned_ms of the repository, told_ms of the
    last mail about one that is overdue."""
    empty = {"last_ms": 0, "last_id": "", "failed": "", "since_ms": 0, "pruned_ms": 0, "told_ms": 0}
    return empty | (machine.load(machine.kept(FILE)) or {})


def write(**changes) -> dict:
    """Changes some of it, and what `status` tells."""
    found = read() | changes
    machine.store(machine.kept(FILE), found)
    phase.brief(backup=brief(machine.spec(), found))
    return found


def forget() -> None:
    """The app has no backups any more."""
    machine.remove(machine.kept(FILE))
    phase.brief(backup=None)


def brief(spec: dict, found: dict) -> dict:
    return {"last_ms": found["last_ms"], "last_id": found["last_id"], "failed": found["failed"],
            "overdue": overdue(spec, found)}


def overdue(spec: dict, found: dict) -> bool:
    """Whether there was no backup for too long. The time counts from when the
    droplet was given its schedule, at the earliest."""
    last = max(found["last_ms"], found["since_ms"])
    return bool(last) and machine.now_ms() - last > spec["backup"].get("overdue_s", 48 * 3600) * 1000


def made(backup: dict) -> None:
    write(last_ms=backup["at_ms"], last_id=backup["id"], failed="")


def failed(error: BaseException) -> str:
    """Notes a failure, and returns it in words."""
    if isinstance(error, machine.Fault):
        words = f"{error.entry}: {error.message}" if error.entry else error.message
    elif isinstance(error, OSError):
        words = error.strerror or "the system refused"
    else:
        words = "it was ended before it was done"
    write(failed=words)
    return words


def mail(spec: dict, subject: str, text: str) -> None:
    """A message to root, where the droplet sends mail."""
    if not spec["backup"].get("mail"):
        return
    head = f"To: root\nSubject: {subject} <{spec['app']}>\nContent-Type: text/plain; charset=UTF-8\nAuto-Submitted: auto-generated\n\n"
    done = machine.run("sendmail", "-t", "-i", input=(head + text + "\n").encode(), check=False,
                       env={"PATH": os.environ.get("PATH", "") + ":/usr/sbin"})
    if done.returncode != 0:
        machine.note("the mail to root was not taken: " + machine.last_line(done.stderr))
