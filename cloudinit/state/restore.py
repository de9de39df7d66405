"""Backups put back: into a folder, onto a fresh droplet, in the place of what is
live; and looked at, to know that they could be."""
import contextlib
import os
import shutil
import sys

import entries
import freeze
import machine
import phase
import record
import restic
import start
from backup import INDEX, about, alone, find, make, scratch, told, want_room
from machine import Fault

# How long writes may wait for a backup that takes the place of what is live:
# after so many seconds the droplet opens by itself.
LIVE_WITHIN = 3600


class Copy:
    """A backup on this droplet's disk, below a folder."""

    def __init__(self, folder: str, snapshot: dict):
        self.folder, self.snapshot = folder, snapshot
        self.index = self._index()

    def _index(self) -> dict:
        for path in self.snapshot["paths"]:
            file = os.path.join(self.folder + path, INDEX)
            if os.path.isfile(file):
                return machine.load(file)
        raise Fault("repository", f"the backup {self.snapshot['short_id']} was not made by cattle: nothing in it says what is what")

    def of(self, entry: entries.Entry) -> str:
        """The folder of an entry's dump, empty where the backup has none."""
        for one in self.index["entries"]:
            if (one["name"], one["kind"]) == (entry.name, entry.kind):
                return self.folder + one["path"]
        return ""

    def beside(self, absolute: str) -> str:
        """Where something of a droplet's that every backup has is in this one;
        empty where it has none."""
        for path in self.snapshot["paths"]:
            if path.endswith(absolute) and os.path.exists(self.folder + path):
                return self.folder + path
        return ""


def fetch(repository: restic.Repository, snapshot: dict, folder: str, *options: str) -> Copy:
    want_room(told(snapshot)["bytes"], f"the backup {snapshot['short_id']}", folder)
    repository.run("restore", snapshot["id"], "--target", folder, "--no-lock", "--quiet", *options)
    return Copy(folder, snapshot)


def restore(arguments: list[str]) -> None:
    """restore ID --to DIR, --live or --fresh."""
    match arguments:
        case [wanted, "--to", folder]:
            answer = to_folder(wanted, folder)
        case [wanted, "--live"]:
            answer = to_live(wanted)
        case [wanted, "--fresh"]:
            answer = to_fresh(wanted)
        case _:
            raise Fault("engine", "restore ID --to DIR, --live or --fresh")
    machine.say(answer)


def to_folder(wanted: str, folder: str) -> dict:
    """For people: a folder an entry, by its name, and what no entry is called."""
    if not os.path.isabs(folder):
        raise Fault("engine", f"{folder}: the folder is one of the droplet's, so give its whole path, as in /root/restored")
    if os.path.isdir(folder) and os.listdir(folder):
        raise Fault("engine", f"{folder} is there already, and not empty: name another folder")
    spec = machine.spec()
    with alone(), restic.opened(spec) as repository:
        snapshot = find(repository, wanted)
        beside = folder.rstrip("/") + ".part"
        shutil.rmtree(beside, ignore_errors=True)
        os.makedirs(beside + "/copy", mode=0o700)
        try:
            arrange(fetch(repository, snapshot, beside + "/copy"), beside)
            if os.path.isdir(folder):
                os.rmdir(folder)
            os.rename(beside, folder)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    return told(snapshot)


def arrange(copy: Copy, folder: str) -> None:
    for one in copy.index["entries"]:
        os.rename(copy.folder + one["path"], os.path.join(folder, one["name"]))
    for absolute, name in (("/etc/letsencrypt", "_letsencrypt"), ("/var/lib/cattle/history", "_history")):
        if found := copy.beside(absolute):
            os.rename(found, os.path.join(folder, name))
    shutil.rmtree(copy.folder)


def to_fresh(wanted: str) -> dict:
    """Onto a candidate, whose app does not run yet. Its certificate comes back
    too, for Let's Encrypt gives only so many a week."""
    spec = machine.spec()
    with alone(), restic.opened(spec) as repository, scratch("restore") as folder:
        snapshot = find(repository, wanted)
        copy = fetch(repository, snapshot, folder)
        start.stand_still()
        missing = put(copy, spec, fresh=True)
        certificates(copy)
    record.write(last_ms=told(snapshot)["at_ms"], last_id=snapshot["short_id"])
    return told(snapshot) | {"missing": missing}


def put(copy: Copy, spec: dict, fresh: bool = False) -> list[str]:
    """Has each entry take its part; returns those that the backup knows nothing of.
    On a fresh droplet what outlived the one before is newer than any backup."""
    missing = []
    for entry in entries.of(spec):
        if fresh and entry.outlives and not entry.facts()["empty"]:
            continue
        if not (where := copy.of(entry)):
            missing.append(entry.name)
            continue
        with about(entry):
            entry.load(where)
    return missing


def certificates(copy: Copy) -> None:
    """What the droplet knows nothing of: its certificate, and the site's history."""
    if os.path.exists(machine.path("/etc/letsencrypt/live")) or not (found := copy.beside("/etc/letsencrypt")):
        return
    top = found.removesuffix("/etc/letsencrypt")
    names = [name for name in ("etc/letsencrypt", "var/lib/cattle/history") if os.path.exists(os.path.join(top, name))]
    packed = machine.run("tar", "--create", "--directory", top or "/", *names, timeout=120).stdout
    machine.run(machine.path("/opt/cattle/droplet"), "install-certificates", input=packed, timeout=120)


def to_live(wanted: str) -> dict:
    """In the place of what is live, which is kept as a backup first, with writes
    held, so that nothing is between that backup and the end. Where it fails,
    that backup is put back."""
    spec = machine.spec()
    with alone():
        with restic.opened(spec) as repository, scratch("restore") as folder:
            snapshot = find(repository, wanted)
            copy = fetch(repository, snapshot, folder)  # before anybody waits
            verb("freeze", str(LIVE_WITHIN))
            try:
                before = make(spec, "discard")
            except BaseException:
                verb("thaw")
                raise
            missing = replace(repository, copy, spec, before)
        with contextlib.suppress(Fault):
            make(spec, "asked")  # what is live now is the latest; a failure is noted
    return told(snapshot) | {"before": before["id"], "missing": missing}


def replace(repository: restic.Repository, copy: Copy, spec: dict, before: dict) -> list[str]:
    """The app is down meanwhile. It is not started on half of anything."""
    try:
        take_over(spec)
        missing = put(copy, spec)
    except BaseException as error:
        undo(repository, spec, before, error)
        raise
    give_back()
    return missing


def undo(repository: restic.Repository, spec: dict, before: dict, error: BaseException) -> None:
    try:
        with scratch("undo") as folder:
            put(fetch(repository, find(repository, before["id"]), folder), spec)
    except Exception:
        why = error.message if isinstance(error, Fault) else type(error).__name__
        raise Fault("engine", f"{why}; and what was there could not be put back either, so the app is down: it is whole in "
                    f"the backup {before['id']}: cattle restore --live {before['id']}") from None
    give_back()


def take_over(spec: dict) -> None:
    """From data that is held to data that is ours to replace. Visitors' writes
    wait all the time; a reboot does not start the app."""
    with machine.locked("state", wait=60):
        phase.write("new", LIVE_WITHIN)
        machine.remove(machine.kept("ready"))
        machine.run("systemctl", "stop", freeze.UNIT)
        freeze.each(entries.of(spec), lambda entry: entry.release())
        machine.run("systemctl", "stop", start.APP, timeout=300)
        freeze.start_keeper()


def give_back() -> None:
    machine.write(machine.kept("ready"), b"")
    machine.run("systemctl", "start", start.APP, timeout=start.START_S)
    verb("thaw")


def verb(*words: str) -> None:
    """Another verb of ours, with its own locks and answer."""
    machine.run(sys.executable, sys.argv[0], *words, timeout=300)


def verify(arguments: list[str]) -> None:
    """Restores the newest backup beside everything, and looks at each entry."""
    spec = machine.spec()
    with alone(), restic.opened(spec) as repository, scratch("scratch") as folder:
        snapshot = next(iter(repository.snapshots()), None) or find(repository, "latest")
        copy = fetch(repository, snapshot, folder, "--verify")
        checked = [look(copy, entry) for entry in entries.of(spec) if entry.name not in copy.index["empty"]]
    machine.say({"id": snapshot["short_id"], "ok": True, "checked": checked})


def look(copy: Copy, entry: entries.Entry) -> str:
    with about(entry):
        where = copy.of(entry)
        if not where or not os.path.isdir(where):
            raise Fault("no-backup", f"the backup {copy.snapshot['short_id']} has nothing of it: cattle backup makes another one")
        entry.whole(where)
    return entry.name
