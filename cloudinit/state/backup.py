"""Backups of the app's state: made, listed, looked at, and put back."""
import contextlib
import json
import os
import re
import shutil
import signal
import sys

import entries
import machine
import record
import restic
from machine import Fault

# Why a backup is made. `discard` is what somebody gave up: never forgotten, and
# never taken for the latest.
REASONS = ("scheduled", "release", "discard", "asked")
# What every backup has, beside the entries.
ALWAYS = ("/etc/letsencrypt", "/var/lib/cattle/history", "/var/lib/cattle/manifest")
WAIT_FOR_ANOTHER = 600  # seconds
PRUNE_EVERY = 7 * 24 * 3600 * 1000  # milliseconds
SPARE = 64 << 20  # bytes that are left free on the disk
INDEX = "backup.json"  # in the copy: what of it is which entry's


@contextlib.contextmanager
def alone():
    """One backup at a time; and SIGTERM ends it as an exception does, so that
    nothing of it is left."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGHUP, lambda *_: sys.exit(129))
    with machine.locked("backup", wait=WAIT_FOR_ANOTHER):
        yield


@contextlib.contextmanager
def scratch(name: str):
    """An empty folder on the disk for as long as the block lasts. One that a
    crash left is emptied first."""
    folder = machine.kept(name)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder, mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def about(entry: entries.Entry):
    """Faults in the block are about the entry."""
    try:
        yield
    except Fault as fault:
        fault.entry = fault.entry or entry.name
        raise


def backup(arguments: list[str]) -> None:
    if len(arguments) != 1 or arguments[0] not in REASONS:
        raise Fault("engine", "backup REASON: one of " + ", ".join(REASONS))
    with alone():
        machine.say(make(machine.spec(), arguments[0]))


def make(spec: dict, reason: str) -> dict:
    """Makes a backup, and notes how it went."""
    try:
        with restic.opened(spec) as repository:
            repository.ready()
            made = copy(repository, spec, reason)
            record.made(made)
            if reason == "scheduled":
                tidy(repository, spec)
            return made
    except BaseException as error:
        words = record.failed(error)
        if reason == "scheduled":
            record.mail(spec, "Backup failed", f"The backup of {spec['app']} failed: {words}\n\nTo try it again: cattle backup")
        raise


def copy(repository: restic.Repository, spec: dict, reason: str) -> dict:
    """One consistent copy of everything, in the repository."""
    enough_room(spec)
    with scratch("backup") as folder:
        index = {"version": 1, "app": spec["app"], "entries": [], "empty": []}
        paths = [folder]
        for entry in entries.of(spec):
            if nothing_yet(entry):
                machine.note(f"{entry.name}: there is nothing of it here yet")
                index["empty"].append(entry.name)
                continue
            where = os.path.join(folder, "entries", entry.name)
            os.makedirs(where, mode=0o700)
            with about(entry):
                outside = [path for path in entry.dump(where) if not (path + "/").startswith(where + "/")]
            paths += outside
            index["entries"].append({"name": entry.name, "kind": entry.kind, "path": (outside or [where])[0]})
        machine.store(os.path.join(folder, INDEX), index, 0o600)
        paths += [path for path in map(machine.path, ALWAYS) if os.path.exists(path)]
        return keep(repository, reason, paths) | {"empty": index["empty"]}


def nothing_yet(entry: entries.Entry) -> bool:
    """Whether a backup may do without it: a file or folder that no app made yet.
    That a server is down does not mean that it is empty."""
    known = {one["name"] for one in (machine.load(machine.path("/etc/cattle/state.json")) or {}).get("entries") or []}
    return (entry.kind in ("sqlite", "files") or entry.name not in known) and entry.facts().get("empty", False)


def keep(repository: restic.Repository, reason: str, paths: list[str]) -> dict:
    size, files = measure(paths)
    release = (machine.load(machine.path("/etc/cattle/release.json")) or {}).get("release", "")
    tags = {"app": repository.app, "release": release.replace(",", "_"), "reason": reason, "bytes": str(size)}
    options = [word for name, value in tags.items() for word in ("--tag", f"{name}:{value}")]
    done = repository.locked_out("backup", "--json", "--quiet", "--host", repository.app, *options, "--", *paths)
    snapshot = snapshot_of(done.stdout)
    if done.returncode == restic.INCOMPLETE and snapshot and vanished(done.stderr):
        pass  # files that were removed while they were read are no loss
    elif done.returncode != 0:
        if snapshot:
            repository.ask("forget", snapshot, within=restic.ANSWER_WITHIN)
        raise repository.fault(done)
    found = repository.snapshots(snapshot)
    if not found:
        raise Fault("repository", f"{repository.name} does not have the backup that was just made")
    return told(found[0]) | {"files": files}


def snapshot_of(output: str) -> str:
    for line in output.splitlines():
        with contextlib.suppress(ValueError):
            message = json.loads(line)
            if message.get("message_type") == "summary":
                return message.get("snapshot_id", "")
    return ""


def vanished(said: str) -> bool:
    """Whether all that could not be read is not there any more."""
    items = []
    for line in said.splitlines():
        with contextlib.suppress(ValueError):
            message = json.loads(line)
            if message.get("message_type") == "error":
                items.append(message.get("item") or "/")
    return bool(items) and not any(os.path.lexists(item) for item in items)


def measure(paths: list[str]) -> tuple[int, int]:
    """Bytes and number of all files below some paths."""
    size = files = 0
    for top in paths:
        found = [top] if not os.path.isdir(top) else [os.path.join(folder, name) for folder, _, names in os.walk(top) for name in names]
        for file in found:
            with contextlib.suppress(FileNotFoundError):
                size, files = size + os.lstat(file).st_size, files + 1
    return size, files


def enough_room(spec: dict) -> None:
    """A live droplet must not fill its disk with a copy of its database."""
    need = SPARE
    for entry in entries.of(spec):
        if entry.kind not in ("files", "volume"):
            with about(entry):
                need += entry.facts().get("bytes", 0)
    want_room(need, "a consistent copy of the databases")


def want_room(need: int, what: str, where: str = "") -> None:
    free = shutil.disk_usage(where or os.path.dirname(machine.kept(""))).free
    if need > free:
        raise Fault("disk-full", f"{what} takes {need >> 20} MiB on the droplet's disk, and {free >> 20} MiB are free: "
                    "remove something, or choose a larger droplet.size")


def tidy(repository: restic.Repository, spec: dict) -> None:
    """Forgets what the profile does not keep, and once a week frees its room.
    What is younger than two days stays: somebody may have asked for it."""
    keeps = [word for unit, n in (spec["backup"].get("keep") or {}).items() if n for word in (f"--keep-{unit}", str(n))]
    if not keeps:
        return
    prune = machine.now_ms() - record.read()["pruned_ms"] >= PRUNE_EVERY
    done = repository.locked_out("forget", "--quiet", "--host", repository.app, "--tag", "app:" + repository.app, "--group-by", "host",
                                 *keeps, "--keep-within", "2d", "--keep-tag", "reason:discard", *(["--prune"] if prune else []))
    if restic.is_locked(done):
        machine.note("old backups stay for today: another restic is at work in the repository")
    elif done.returncode != 0:
        fault = repository.fault(done)
        raise Fault(fault.code, "the backup was made, but old ones could not be removed: " + fault.message)
    elif prune:
        record.write(pruned_ms=machine.now_ms())


def told(snapshot: dict) -> dict:
    """What is said of a snapshot."""
    tags = dict(tag.partition(":")[::2] for tag in snapshot.get("tags") or [])
    return {"id": snapshot["short_id"], "at_ms": round(restic.seconds_of(snapshot["time"]) * 1000),
            "release": tags.get("release", ""), "reason": tags.get("reason", ""),
            "bytes": int(tags["bytes"]) if tags.get("bytes", "").isdigit() else 0}


def backups(arguments: list[str]) -> None:
    with restic.opened(machine.spec()) as repository:
        machine.say({"backups": [told(one) for one in repository.snapshots()]})


def find(repository: restic.Repository, wanted: str) -> dict:
    """A snapshot by its id, or the latest that nobody has given up."""
    if not re.fullmatch("latest|[0-9a-f]{4,64}", wanted):
        raise Fault("no-backup", "a backup is named by its id, or is the latest: cattle backups lists them")
    for one in repository.snapshots():
        if one["id"].startswith(wanted) or wanted == "latest" and told(one)["reason"] != "discard":
            return one
    if wanted == "latest":
        raise Fault("no-backup", f"{repository.name} has no backup of {repository.app} yet: cattle backup makes one")
    raise Fault("no-backup", f"{repository.name} has no backup {wanted} of {repository.app}: cattle backups lists them")


def latest(spec: dict) -> dict | None:
    """The newest backup, None where there is none."""
    with restic.opened(spec) as repository:
        for one in repository.snapshots():
            return told(one)
    return None
