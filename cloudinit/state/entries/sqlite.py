"""A SQLite database: its file, and the log beside it."""
import contextlib
import os
import shutil
import sqlite3
import struct
import time

import blocks
import machine
from entries import Entry

PASSES = 4            # of a bulk copy, while the database changes much
SETTLED = 16 << 20    # bytes that a pass may have moved for it to be the last
PARTS = {"db": "", "wal": "-wal"}
BESIDE = ("-wal", "-shm", "-journal")
OWN = ".cattle-own"   # beside a database: what a copy replaced


class SQLite(Entry):
    unit = "commits"

    def __init__(self, spec: dict):
        super().__init__(spec)
        self.connection: sqlite3.Connection | None = None
        self.about: dict | None = None  # the files of a finished copy

    def file(self) -> str:
        """The database. A fault where docker does not know the volume."""
        if not self.spec.get("volume"):
            return machine.path(self.spec["path"])
        folder = machine.volume(self.spec["volume"])
        if not folder:
            raise machine.Fault("entry-empty", f"there is no volume {self.spec['volume']}")
        return os.path.join(folder, self.spec["path"])

    def present(self) -> str:
        file = self.file()
        if not os.path.isfile(file) or os.path.getsize(file) == 0:
            raise self.absent(file)
        return file

    def absent(self, file: str) -> machine.Fault:
        """An app that has not begun to write leaves its folder empty. Where other files
        are in it, the profile names a wrong one: to begin without data would lose them."""
        folder = os.path.dirname(file)
        others = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
        if not others or os.path.exists(file):
            return machine.Fault("entry-empty", f"there is no database at {self.spec['path']}")
        return machine.Fault("entry-missing", f"there is no database at {self.spec['path']}, and beside it {', '.join(others[:3])}")

    def facts(self) -> dict:
        with contextlib.suppress(machine.Fault):
            file = self.present()
            size = sum(os.path.getsize(file + end) for end in PARTS.values() if os.path.exists(file + end))
            return {"name": self.name, "kind": self.kind, "bytes": size, "empty": False}
        return {"name": self.name, "kind": self.kind, "bytes": 0, "empty": True}

    def stage(self) -> str:
        return os.path.join(machine.kept("stage"), self.name)

    def here(self) -> int:
        with contextlib.suppress(FileNotFoundError):
            return os.stat(self.stage() + "/db").st_blocks * 512
        return 0

    def folder(self) -> str:
        return self.stage()

    def hold(self, deadline_s: float) -> None:
        if self.connection:
            return
        uri = "file:" + self.present().replace("%", "%25").replace("?", "%3f").replace("#", "%23") + "?mode=rw"
        connection = sqlite3.connect(uri, uri=True, timeout=0, isolation_level=None, check_same_thread=False)
        end = time.monotonic() + deadline_s
        # SQLite's own waiting sleeps for longer than a moment between two commits lasts.
        while True:
            try:
                connection.execute("BEGIN IMMEDIATE")
                break
            except sqlite3.OperationalError as error:
                if time.monotonic() > end:
                    connection.close()
                    raise machine.Fault("engine", f"another process keeps the database for itself: {error}") from None
                time.sleep(0.001)
        self.connection = connection

    def release(self) -> None:
        connection, self.connection = self.connection, None
        if connection:
            connection.rollback()
            connection.close()

    def serve(self, op: str, request: dict, stream) -> None:
        if op != "sync":
            return super().serve(op, request, stream)
        file = self.present()
        with contextlib.ExitStack() as stack:
            parts, stats = {}, {}
            for part, end in PARTS.items():
                with contextlib.suppress(FileNotFoundError):
                    opened = stack.enter_context(open(file + end, "rb", buffering=0))
                    stat = os.fstat(opened.fileno())
                    if stat.st_size:
                        parts[part] = (opened.fileno(), stat.st_size)
                        stats[part] = {"size": stat.st_size, **owner(stat)}
            stream.send({"parts": stats, "parent": owner(os.stat(os.path.dirname(file)))})
            blocks.Source(stream, parts).run()

    def pull(self, link, final: bool, progress) -> dict:
        os.makedirs(self.stage(), mode=0o700, exist_ok=True)
        self.seed()
        try:
            if not final:
                return self.approach(link, progress)
            began = time.monotonic()
            moved, digest, about = self.sync(link, True, progress)
            self.about = about
            return {"bytes": moved, "digest": digest, "equal": True, "estimate_ms": machine.took_ms(began)}
        except OSError as error:
            # Half of a copy would be in the way of what has room for the whole.
            if error.errno == 28:
                shutil.rmtree(self.stage(), ignore_errors=True)
            raise

    def approach(self, link, progress) -> dict:
        """Passes over a database in use. What they leave is torn, and nearly all of it."""
        total = 0
        for number in range(PASSES):
            began = time.monotonic()
            moved, digest, about = self.sync(link, False, progress)
            total += moved
            size = sum(one["size"] for one in about["parts"].values())
            if number and moved <= max(SETTLED, size // 50):
                break
        return {"bytes": total, "digest": digest, "equal": False, "estimate_ms": machine.took_ms(began)}

    def seed(self) -> None:
        """A droplet that was live before has an old copy to begin with."""
        with contextlib.suppress(machine.Fault):
            if not os.path.exists(self.stage() + "/db"):
                shutil.copyfile(self.present(), self.stage() + "/seed")
                os.rename(self.stage() + "/seed", self.stage() + "/db")

    def sync(self, link, final: bool, progress) -> tuple[int, str, dict]:
        """One pass: returns bytes moved, the source's digest, and what it said of its files."""
        with link.open(self.name, "sync", final=final) as stream, contextlib.ExitStack() as stack:
            about, _ = stream.receive()
            parts = {}
            for part, of in about["parts"].items():
                file = os.open(f"{self.stage()}/{part}", os.O_RDWR | os.O_CREAT, 0o600)
                stack.callback(os.close, file)
                os.ftruncate(file, min(os.fstat(file).st_size, of["size"]))
                parts[part] = (file, of["size"])
            size = sum(of["size"] for of in about["parts"].values())
            target = blocks.Target(stream, parts, lambda moved, seen: progress(min(seen, size), size))
            digest = target.run(final)
            for file, _ in parts.values():
                os.fsync(file)
        if "wal" not in parts:
            machine.remove(self.stage() + "/wal")
        return target.moved, digest, about

    def settle(self) -> None:
        if self.about:
            self.place(self.about)

        self.about = None

    def way_back(self) -> dict:
        """Links keep what place() is about to rename over."""
        if not self.about:
            return {}
        self.forget()  # what was left of an earlier copy is not this droplet's own
        file = self.file()
        there = os.path.exists(file)
        for end in ("", *BESIDE) if there else ():
            with contextlib.suppress(FileNotFoundError):
                os.link(file + end, file + OWN + end)
        if there:
            machine.sync_folder(os.path.dirname(file))
        return {"there": there}

    def put_back(self, way: dict) -> None:
        file = self.file()
        if way["there"] and not os.path.exists(file + OWN):
            return  # it was put back
        for end in ("", *BESIDE):
            if os.path.exists(file + OWN + end):
                machine.remove(file + OWN + ".part")
                os.link(file + OWN + end, file + OWN + ".part")
                os.rename(file + OWN + ".part", file + end)
            else:
                machine.remove(file + end)
        machine.remove(file + OWN + ".part")  # which stays where both were the same file
        self.forget()

    def forget(self) -> None:
        with contextlib.suppress(machine.Fault):  # without its volume there is nothing of it
            for end in ("", *BESIDE):
                machine.remove(self.file() + OWN + end)

    def place(self, about: dict) -> None:
        """Puts the finished copy where the app looks for it. The app is down."""
        file = self.file()
        parent = os.path.dirname(file)
        os.makedirs(parent, exist_ok=True)
        give(parent, about["parent"])
        for end in BESIDE:
            machine.remove(file + end)
        for part, of in about["parts"].items():
            move(f"{self.stage()}/{part}", file + PARTS[part], of)
        machine.sync_folder(parent)

    def check(self) -> None:
        examine(self.present())

    def dump(self, folder: str) -> list[str]:
        file, copy = self.present(), os.path.join(folder, "database")
        with contextlib.closing(sqlite3.connect(file, timeout=30)) as origin, contextlib.closing(sqlite3.connect(copy)) as target:
            origin.backup(target)
        give(copy, owner(os.stat(file)))
        return [copy]

    def whole(self, folder: str) -> None:
        examine(os.path.join(folder, "database"))

    def load(self, folder: str) -> None:
        file, copy = self.file(), os.path.join(folder, "database")
        stat = os.stat(copy)
        os.makedirs(os.path.dirname(file), exist_ok=True)
        os.makedirs(self.stage(), mode=0o700, exist_ok=True)
        shutil.copyfile(copy, self.stage() + "/db")
        parent = owner(os.stat(os.path.dirname(file)))
        self.place({"parts": {"db": owner(stat)}, "parent": parent})

    def mark(self):
        """The commits that SQLite counts: in the database's head, and in the index
        of its log for as long as an app has that open; and the files' looks, which
        change with any write."""
        file = self.present()
        looks = []
        for end in PARTS.values():
            with contextlib.suppress(FileNotFoundError):
                stat = os.stat(file + end)
                looks += [end, stat.st_size, stat.st_mtime_ns]
        return {"head": number(file, 24, ">I"), "log": number(file + "-shm", 8, "=I"), "looks": looks}

    def since(self, mark) -> int:
        now = self.mark()
        if now["looks"] == mark["looks"]:
            return 0
        return max(1, now["head"] - mark["head"], now["log"] - mark["log"])

    def counter(self) -> int:
        now = self.mark()
        return now["head"] + now["log"]


def examine(file: str) -> None:
    """A fault where SQLite finds that the database is damaged."""
    try:
        with contextlib.closing(sqlite3.connect(file, timeout=30)) as connection:
            found = connection.execute("PRAGMA integrity_check(1)").fetchall()
    except sqlite3.DatabaseError as error:
        found = [(str(error),)]
    if found != [("ok",)]:
        raise machine.Fault("not-equal", f"the database is damaged: {found[0][0]}", side="new")


def number(file: str, place: int, form: str) -> int:
    """A number of four bytes in a file, 0 where it is not there."""
    with contextlib.suppress(FileNotFoundError), open(file, "rb", buffering=0) as opened:
        found = os.pread(opened.fileno(), 4, place)
        return struct.unpack(form, found)[0] if len(found) == 4 else 0
    return 0


def owner(stat: os.stat_result) -> dict:
    return {"uid": stat.st_uid, "gid": stat.st_gid, "mode": stat.st_mode & 0o7777}


def give(file: str, to: dict) -> None:
    os.chown(file, to["uid"], to["gid"])
    os.chmod(file, to["mode"])


def move(file: str, target: str, to: dict) -> None:
    give(file, to)
    try:
        os.rename(file, target)
    except OSError as error:
        if error.errno != 18:  # on another file system
            raise
        shutil.copyfile(file, target + ".part")
        give(target + ".part", to)
        descriptor = os.open(target + ".part", os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
        os.rename(target + ".part", target)
        os.unlink(file)
