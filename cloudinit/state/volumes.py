"""The app's block storage volumes. What is on one moves with it, and nothing is
copied: the old droplet parts, the cloud detaches and attaches, the new one joins.

A droplet that parted or joined knows its volumes by volumes.json, and its web is
open only while all of them are mounted here: nginx looks for a mark in memory, which
a reboot takes away. So one whose volume is elsewhere stays closed, whatever its
phase says; the keeper mounts what comes back, and opens."""
import os
import time

import freeze
import machine
import phase
import web
from blockdevice import BlockDevice

APP = "cattle-app.service"
FILE = "volumes.json"
MARK = "mounted"  # in memory
WAIT_S = 30       # for a device that was attached
STOP_S = 5        # that a container has to end


def part(arguments: list[str]) -> None:
    """part SECONDS: lets go of the volumes, and does not mount them for so long,
    whatever becomes of the freeze meanwhile."""
    now = phase.read()
    if now["phase"] == "open" or now["phase"] == "frozen" and machine.now_ms() >= now["until_ms"]:
        raise machine.Fault("not-frozen", "this droplet takes writes: its volumes are in use", side="old")
    web.install(machine.spec().get("page", ""))
    known = write(volumes=wanted(), until_ms=machine.now_ms() + round(float(arguments[0]) * 1000))
    freeze.start_keeper()
    close()
    web.drain()
    try:
        let_go(known)
    except machine.Fault as fault:
        write(until_ms=0)
        fault.side = fault.side or ("new" if now["phase"] == "new" else "old")
        raise
    phase.brief()
    machine.say({"parted": True, "until_ms": known["until_ms"]})


def let_go(known: dict) -> None:
    """Stops what uses the volumes, and all of the app where that was not enough: a
    container may have them by a folder above."""
    these = devices(known)
    if phase.read()["phase"] == "new" and phase.ready():
        machine.remove(machine.kept("ready"))
        machine.run("systemctl", "stop", APP, timeout=120)
    if not phase.ready():
        return unmount(these)
    stop(services(known))
    try:
        unmount(these)
    except machine.Fault as fault:
        machine.note(fault.message)
        stop(of_release("services"))
        unmount(these)


def unmount(these: list[BlockDevice]) -> None:
    for device in these:
        device.unmount()


def join(_: list[str]) -> None:
    """Mounts what was attached to this droplet, and undoes what part did. From here
    on nothing is promised any more: what comes too late is mounted by the keeper."""
    web.install(machine.spec().get("page", ""))
    freeze.install_keeper()
    with machine.locked():
        known = write(volumes=wanted(), until_ms=0)
        if not all(device.mounted() for device in devices(known)):
            close()
    freeze.start_keeper()
    side = "new" if phase.read()["phase"] == "new" else "old"
    end = time.monotonic() + WAIT_S
    while absent := [device for device in devices(known) if not device.there()]:
        if time.monotonic() > end:
            raise machine.Fault("volume-missing", f"the volume {absent[0].name} is not attached to this droplet", absent[0].entry, side)
        time.sleep(0.05)
    with machine.locked(wait=60):
        known = load()
        if machine.now_ms() < known["until_ms"]:
            raise machine.Fault("busy", "another command had this droplet let go of its volumes")
        take_up(known)
    machine.say({"joined": True})


def take_up(known: dict) -> None:
    """Mounts all, starts what was stopped for it, and lets visitors in. Where Docker
    started something by itself, at a boot, that has an empty folder: it starts anew."""
    these, runs = devices(known), phase.ready()
    if not all(device.mounted() for device in these):
        if runs:
            stop(services(known))
        for device in these:
            device.mount()
    if runs and load()["stopped"]:
        again(load()["stopped"])
    write(stopped=[])
    machine.write(machine.runtime(MARK), b"")
    phase.brief()


def again(names: list[str]) -> None:
    """Starts services, but what is paused. What does not start does not keep the rest."""
    paused = (machine.load(machine.kept("paused.json")) or {}).get("services", [])
    freeze.note_failure(machine.run("systemctl", "start", APP, timeout=300, check=False))
    if names := [name for name in names if name not in paused]:
        freeze.note_failure(machine.compose("start", *names, timeout=120, check=False))


def stop(names: list[str]) -> None:
    """What is stopped is noted first, for whoever starts it again."""
    if names:
        before = load()["stopped"]
        write(stopped=before + [name for name in names if name not in before])
        machine.compose("stop", "--timeout", str(STOP_S), *names, timeout=120)


def back() -> bool:
    """Whether the droplet may open, as far as its volumes go. It mounts those that
    are there, unless it promised not to. The caller has the lock."""
    known = load()
    if machine.now_ms() < known["until_ms"]:
        return False
    if open_to_visitors(known):
        return True
    if not all(device.there() for device in devices(known)):
        return False
    take_up(known)
    return True


def here() -> bool:
    """As back, but it changes nothing, and may be asked all the time."""
    known = load()
    return machine.now_ms() >= known["until_ms"] and open_to_visitors(known)


def open_to_visitors(known: dict) -> bool:
    if not known["volumes"] and not os.path.exists(machine.kept(FILE)):
        return True
    return os.path.exists(machine.runtime(MARK)) and all(device.mounted() for device in devices(known))


def want() -> None:
    """A fault where a volume of the app's is not mounted here."""
    for device in devices(load()):
        if not device.mounted():
            raise machine.Fault("volume-missing", f"the volume {device.name} is not mounted here", device.entry)


def close() -> None:
    """Nobody gets in but ACME and who asks which release this is."""
    machine.remove(machine.runtime(MARK))


def thawed() -> str:
    """The id of a phase that somebody wanted to end, without the volumes."""
    return load()["thaw"]


def forget_thaw() -> None:
    if thawed():
        write(thaw="")


def load() -> dict:
    """The entries of the volumes, until when they are not mounted again, the services
    that are stopped for them, and the id of a phase that was to end meanwhile."""
    found = machine.load(machine.kept(FILE)) or {"volumes": own()}
    return {"until_ms": 0, "stopped": [], "thaw": ""} | found


def write(**changes) -> dict:
    found = load() | changes
    machine.store(machine.kept(FILE), found)
    return found


def own() -> list[dict]:
    """Those that this droplet's release has."""
    return [entry for entry in of_release("entries") if entry["kind"] == "volume"]


def of_release(key: str) -> list:
    """A list of the spec that this droplet has for its own."""
    return (machine.load(machine.path("/etc/cattle/state.json")) or {}).get(key) or []


def wanted() -> list[dict]:
    """Beside them what was mounted here when this droplet parted; and what the next
    release has and somebody mounted here without us, in the place that he chose."""
    found = own() + load()["volumes"]
    for entry in machine.spec()["entries"]:
        if entry["kind"] == "volume" and (places := BlockDevice(entry).places()):
            found.append(entry | {"path": machine.of_droplet(places[0])})
    return list({entry["volume"]: entry for entry in reversed(found)}.values())


def devices(known: dict) -> list[BlockDevice]:
    return [BlockDevice(entry) for entry in known["volumes"]]


def services(known: dict) -> list[str]:
    """Those that use the volumes, as far as this droplet's release has them."""
    named = {name for entry in known["volumes"] for name in entry.get("services") or []}
    return [name for name in of_release("services") if name in named]


def brief() -> list[dict]:
    return [{"name": device.name, "mounted": device.mounted()} for device in devices(load())]
