"""The new droplet's side of a copy: all entries at once, from the old one."""
import concurrent.futures
import contextlib
import json
import os
import sys
import threading
import time

import entries
import machine
import phase
import standby
from entries import blamed
from link import Link, Stream

AT_ONCE = 4         # entries, of two conversations each: sshd lets 10 share a connection
PROGRESS_S = 0.25   # between two lines of progress
CONNECT_MS = 150    # what a pass takes beside its entries


def pull(arguments: list[str]) -> None:
    """pull bulk|delta: the source is on stdin."""
    final = arguments == ["delta"]
    if not final and arguments != ["bulk"]:
        raise machine.Fault("engine", "pull what: bulk or delta?")
    began = time.monotonic()
    try:
        results = copy(json.load(sys.stdin), final)
    except machine.Fault as fault:
        fault.side = fault.side or "new"
        raise
    for result in results:
        machine.say(result)
    estimate = CONNECT_MS + max((result["estimate_ms"] for result in results), default=0)
    machine.say({"done": True, "ms": machine.took_ms(began), "estimate_ms": estimate})


def copy(source: dict, final: bool) -> list[dict]:
    import start
    these = entries.of(machine.spec())
    if not final and phase.read()["phase"] == "open" and machine.live():
        raise machine.Fault("engine", "visitors come to this droplet: its data is not replaced")
    link = Link(source)
    link.warm(1 + min(AT_ONCE, len(these)))
    with contextlib.closing(link), link.open("", "control") as control:
        before = control.ask({"ask": "phase"})
        if final:
            mind_frozen(before)
            start.stand_still()
            standby.unsettle(these)
        else:
            mind_room(these, control)
            standby.begin(these)
        results = Copies(link, final).run(these)
        if final:
            mind_still_frozen(before, control.ask({"ask": "phase"}))
    if final:
        standby.settle(these)
        start.begin_checks([result["entry"] for result in results if not result.get("empty")])
    return results


def mind_frozen(found: dict) -> None:
    if found["phase"] not in ("frozen", "committed") or not found["held"]:
        raise machine.Fault("not-frozen", "the other droplet takes writes: it is not frozen", side="old")


def mind_still_frozen(before: dict, after: dict) -> None:
    """A copy counts only where the source was held for all of it."""
    if after["id"] != before["id"] or after["phase"] not in ("frozen", "committed") or not after["held"]:
        raise machine.Fault("lapsed", "the other droplet took writes again before the copy was over", side="old")


def mind_room(these: list[entries.Entry], control: Stream) -> None:
    """Whether what is to come has room, on each file system."""
    sizes = {fact["name"]: fact["bytes"] for fact in control.ask({"ask": "facts"})["facts"]}
    wanted: dict[int, int] = {}
    for entry in (entry for entry in these if not entry.outlives):
        folder = existing(entry.folder())
        device = os.stat(folder).st_dev
        wanted[device] = wanted.get(device, 0) + max(0, sizes.get(entry.name, 0) - entry.here())
        stat = os.statvfs(folder)
        free = stat.f_bavail * stat.f_frsize
        if wanted[device] > free:
            raise machine.Fault("disk-full", f"{megabytes(wanted[device])} are to come and {megabytes(free)} are free",
                                entry.name, "new")


def existing(folder: str) -> str:
    while not os.path.exists(folder):
        folder = os.path.dirname(folder)
    return folder


def megabytes(number: int) -> str:
    return f"{number / 1e6:,.0f} MB"


class Copies:
    """The entries' copies, side by side. The first fault ends the others."""

    def __init__(self, link: Link, final: bool):
        self.link, self.final = link, final
        self.faults: list[Exception] = []
        self.results: dict[str, dict] = {}
        self.told = 0.0
        self.telling = threading.Lock()

    def run(self, these: list[entries.Entry]) -> list[dict]:
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(self.one, these))
        if self.faults:
            raise self.faults[0]
        return [self.results[entry.name] for entry in these]

    def one(self, entry: entries.Entry) -> None:
        began = time.monotonic()
        try:
            with blamed(entry):
                result = self.pulled(entry)
            self.results[entry.name] = {"entry": entry.name, "ms": machine.took_ms(began), "estimate_ms": machine.took_ms(began), **result}
        except Exception as error:
            self.faults.append(error)
            self.link.give_up()

    def pulled(self, entry: entries.Entry) -> dict:
        """What the app on the source never made begins empty here too."""
        try:
            return entry.pull(self.link, self.final, lambda done, of: self.progress(entry.name, done, of))
        except machine.Fault as fault:
            if fault.code != "entry-empty" or fault.side != "old":
                raise
            return {"bytes": 0, "estimate_ms": 0, "digest": "", "equal": True, "empty": True}

    def progress(self, name: str, done: int, of: int) -> None:
        with self.telling:
            if time.monotonic() - self.told < PROGRESS_S:
                return
            self.told = time.monotonic()
        machine.say({"entry": name, "bytes": done, "of": max(done, of)})
