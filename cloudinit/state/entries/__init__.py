"""The kinds of state. An entry is one piece of it, and knows how to be held
still, copied to another droplet, compared, put in a backup and taken out of one."""
import contextlib
from collections.abc import Callable

import machine


class Entry:
    """One entry of the spec, on this droplet. What is common to all kinds, and
    what a kind does that has nothing to do. Every method may raise machine.Fault;
    whoever calls names the entry in it."""

    unit = "writes"  # what counter() counts, for people
    outlives = False  # whether it lies on a disk of its own, which goes from droplet to droplet

    def __init__(self, spec: dict):
        self.spec, self.name, self.kind = spec, spec["name"], spec["kind"]

    def facts(self) -> dict:
        """{"name","kind","bytes","empty"} and, where known, "files" and "version"."""
        raise NotImplementedError

    def here(self) -> int:
        """Bytes of a copy that a pull would find here already, and not need room for."""
        return 0

    def folder(self) -> str:
        """A folder on the file system where the entry lies: its free room counts."""
        return machine.path("/var/lib")

    def hold(self, deadline_s: float) -> None:
        """On the source, once nginx lets no write through: from when this returns
        nothing can commit any more, until release, or the end of this process.
        A fault after deadline_s seconds. Held twice is held."""

    def still_held(self) -> bool:
        """Whether the hold of this process still stands. Asked all the time."""
        return True

    def release(self) -> None:
        """Undoes hold. Also called by a process that never held: what a hold leaves
        in place beyond its process's end has to be put right. Idempotent."""

    def serve(self, op: str, request: dict, stream) -> None:
        """On the source: one conversation with pull, over a link.Stream."""
        raise machine.Fault("engine", f"cannot {op}")

    def pull(self, link, final: bool, progress: Callable[[int, int], None]) -> dict:
        """On the destination: has the copy made here, by conversations through
        link.open(entry, op, ...). progress(bytes, of) may be called at any rate.
        final: the source is held; what is here afterwards is equal, in place, and
        has the right owners. Run again after a crash or a cut, it goes on.
        Returns {"bytes": moved, "estimate_ms": of a final pass, "digest", "equal"} and
        "rows" where the kind counts them; "entry" and "ms" are added by the caller."""
        raise NotImplementedError

    def settle(self) -> None:
        """After a final pull, once all entries are equal and the source was held for
        all of it: puts in place what had to wait for that."""

    # Of a droplet that was live before, and has data of its own: see standby.

    def set_aside(self) -> None:
        """Before the first pass, of a kind whose passes change what is in place: notes
        what take_back() has to know. Idempotent."""

    def take_back(self) -> None:
        """Undoes what passes changed in place. Idempotent."""

    def way_back(self) -> dict:
        """What put_back() has to know to undo the settle() that comes next: anything
        that JSON holds, empty where settle() has nothing to do."""
        return {}

    def put_back(self, way: dict) -> None:
        """Undoes a settle(), which came to any point or never began. Idempotent."""

    def forget(self) -> None:
        """What a copy replaced is needed no more. Idempotent."""

    def check(self) -> None:
        """What a final pull leaves to be examined beside the start of the app."""

    def dump(self, folder: str) -> list[str]:
        """Puts a consistent copy in an empty folder while the app goes on; returns
        the paths that a backup has to take, which may lie elsewhere."""
        raise NotImplementedError

    def whole(self, folder: str) -> None:
        """A fault where what dump left in a folder is not all of it."""

    def load(self, folder: str) -> None:
        """Puts what dump left in a folder in place. The app is down."""
        raise NotImplementedError

    def counter(self) -> int:
        """A count that grows with each write. Differences alone mean something."""
        return 0

    def mark(self):
        """What since() wants to see again: anything that JSON holds."""
        return self.counter()

    def since(self, mark) -> int:
        """Writes since the mark was made; at least 1 where there was any."""
        return max(0, self.counter() - mark)


def of(spec: dict) -> list[Entry]:
    """The entries of a spec, in its order."""
    return [one(entry) for entry in spec.get("entries") or []]


def one(entry: dict) -> Entry:
    # Each kind's module is read only where the app has such an entry: start-up counts.
    match entry["kind"]:
        case "sqlite":
            from entries.sqlite import SQLite
            return SQLite(entry)
        case "files":
            from entries.files import Files
            return Files(entry)
        case "mysql":
            from entries.mysql import MySQL
            return MySQL(entry)
        case "postgres":
            from entries.postgres import Postgres
            return Postgres(entry)
        case "volume":
            from entries.volume import Volume
            return Volume(entry)
    raise machine.Fault("engine", f"a kind of state that this version does not know: {entry['kind']}", entry["name"])


@contextlib.contextmanager
def blamed(entry: Entry):
    """Has a fault within the block, on the droplet that takes a copy, say whose it is."""
    try:
        yield
    except OSError as error:
        if error.errno != 28:
            raise
        raise machine.Fault("disk-full", "there is no room left on the disk", entry.name, "new") from None
    except machine.Fault as fault:
        fault.entry = fault.entry or entry.name
        raise


def named(name: str) -> Entry:
    """An entry of this droplet's."""
    for entry in machine.spec()["entries"]:
        if entry["name"] == name:
            return one(entry)
    raise machine.Fault("entry-missing", f"{name} is not among the state that this droplet knows of", name)
