"""What a droplet that was live before has as its own, while a copy comes to it.

It may be gone back to as it was left: because the copy fails, or because the app
cannot work with what came. So until this droplet opens with the copy, whatever that
replaces is kept, and `start --own` brings it back. A note on disk says that it is;
whoever is killed, and whatever crashes, the note is there before the first change."""
import contextlib
import os

import entries
import machine
import phase


def note() -> str:
    return machine.kept("own.json")


def pending() -> bool:
    """Whether a copy that came, or comes, can be undone."""
    return os.path.exists(note())


def begin(these: list[entries.Entry]) -> None:
    """Before the first pass of a copy. Where one was given up, what is kept is this
    droplet's own still. A new droplet, which was never open, has nothing of its own."""
    if phase.read()["phase"] != "new":
        machine.write(machine.kept("lived"), b"")
    if pending() or not os.path.exists(machine.kept("lived")):
        return
    for entry in these:
        with entries.blamed(entry):
            entry.set_aside()
    machine.store(note(), {}, 0o600)


def settle(these: list[entries.Entry]) -> None:
    """Each entry's copy takes its place, or none does."""
    if not pending():
        return place(these)
    machine.store(note(), {entry.name: way for entry in these if (way := entry.way_back())}, 0o600)
    try:
        place(these)
    except BaseException:
        with contextlib.suppress(Exception):  # the note stays, and so it is tried again
            unsettle(these)
        raise


def place(these: list[entries.Entry]) -> None:
    for entry in these:
        with entries.blamed(entry):
            entry.settle()


def unsettle(these: list[entries.Entry]) -> None:
    """Undoes settle, at whatever point it came to an end. The app is down."""
    ways = machine.load(note())
    if not ways:
        return
    for entry in these:
        if entry.name in ways:
            with entries.blamed(entry):
                entry.put_back(ways[entry.name])
    machine.store(note(), {}, 0o600)


def take_back() -> None:
    """Undoes the copy, all its passes. The app is down."""
    these = entries.of(machine.spec())
    unsettle(these)
    for entry in these:
        with entries.blamed(entry):
            entry.take_back()
    forget()


def forget() -> None:
    """This droplet has its own again, or is open with the copy: there is no way back
    any more. What cannot be taken away now is taken away before the next copy."""
    if not machine.remove(note()):
        return
    for entry in entries.of(machine.spec()):
        try:
            entry.forget()
        except (machine.Fault, OSError) as fault:
            machine.note(f"{entry.name}: what was kept is still there: {fault}")
