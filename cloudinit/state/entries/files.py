"""A folder of files, carried by rsync and compared by a digest of the whole tree."""
import contextlib
import os
import re
import shutil
import stat
import threading
import time

import machine
import tree
from entries import Entry

# Times to the nanosecond: a file that changed twice within a second has changed.
RSYNC = ("rsync", "--archive", "--hard-links", "--acls", "--xattrs", "--numeric-ids", "--modify-window=-1")
MOVED = re.compile(rb"Total transferred file size: ([0-9,]+)")
PROGRESS = re.compile(rb"^\s*([0-9,]+)\s+([0-9]+)%")


class Files(Entry):
    unit = "files"

    def folder(self) -> str:
        """A fault where docker does not know the volume."""
        if not self.spec.get("volume"):
            return machine.path(self.spec["path"])
        folder = machine.volume(self.spec["volume"])
        if not folder:
            raise machine.Fault("entry-empty", f"there is no volume {self.spec['volume']}")
        return os.path.join(folder, self.spec.get("path") or "").rstrip("/")

    def present(self) -> str:
        folder = self.folder()
        if not os.path.isdir(folder):
            raise machine.Fault("entry-empty", f"there is no folder {self.spec.get('path') or self.spec['volume']}")
        return folder

    def facts(self) -> dict:
        size, files = self.extent()
        return {"name": self.name, "kind": self.kind, "bytes": size, "files": files, "empty": files == 0}

    def extent(self) -> tuple[int, int]:
        try:
            found = [info.st_blocks * 512 for path, info in tree.walk(self.present(), "") if path]
        except machine.Fault:
            return 0, 0
        return sum(found), len(found)

    def here(self) -> int:
        return self.extent()[0]

    def memory(self) -> str:
        return machine.kept(f"tree-{self.name}.json")

    def aside(self, name: str = "") -> str:
        """The folder of what passes took away or replaced: a folder a pass, by number."""
        return os.path.join(machine.kept("aside"), self.name, name)

    def own(self) -> str:
        """A note of each path that the droplet had: its mode and owner."""
        return machine.kept(f"own-{self.name}.json")

    def set_aside(self) -> None:
        self.forget()  # what was left of an earlier copy is not this droplet's own
        with contextlib.suppress(machine.Fault):  # without its volume no pass comes to it
            found = tree.walk(self.folder(), "") if os.path.isdir(self.folder()) else []
            machine.store(self.own(), {path: [info.st_mode, info.st_uid, info.st_gid] for path, info in found}, 0o600)

    def passes(self) -> list[str]:
        return sorted(os.listdir(self.aside()), key=int) if os.path.isdir(self.aside()) else []

    def take_back(self) -> None:
        """What the first pass replaced is the droplet's own, and so it comes last."""
        own, folder = machine.load(self.own()), self.folder()
        if own is None or not os.path.isdir(folder):
            return
        purge(folder, own)
        for name in reversed(self.passes()):
            load(self.aside(name), folder, deletes=False)
        purge(folder, own)
        for path, (mode, uid, gid) in own.items():
            give(os.path.join(folder, path), mode, uid, gid)

    def forget(self) -> None:
        shutil.rmtree(self.aside(), ignore_errors=True)
        machine.remove(self.own())

    def serve(self, op: str, request: dict, stream) -> None:
        if op != "tree":
            return super().serve(op, request, stream)
        folder = self.present()
        stream.send({"there": True})
        stream.send(tree.digest(folder, self.memory()))

    def pull(self, link, final: bool, progress) -> dict:
        folder = self.folder()
        if final:
            return self.finish(link, folder, progress)
        moved, _, _ = self.once(link, folder, progress)
        # Once more, over what is there already: a final pass will take that long.
        began = time.monotonic()
        more, _, there = self.once(link, folder, progress)
        return {"bytes": moved + more, "digest": there["digest"], "equal": False, "estimate_ms": machine.took_ms(began)}

    def once(self, link, folder: str, progress, *more: str) -> tuple[int, dict, dict]:
        """One pass: bytes moved, the tree here, the tree there. The other side
        looks through its own while rsync is at work."""
        with link.open(self.name, "tree") as stream:
            stream.receive()
            os.makedirs(folder, exist_ok=True)
            moved = self.rsync(link, folder, progress, *more)
            here = tree.digest(folder, self.memory())
            there, _ = stream.receive()
        return moved, here, there

    def finish(self, link, folder: str, progress) -> dict:
        moved, here, there = self.once(link, folder, progress, "--delete")
        if here["digest"] != there["digest"]:
            # A file may look the same and not be it: now by content.
            moved += self.rsync(link, folder, progress, "--delete", "--checksum")
            here = tree.digest(folder, self.memory())
        if here["digest"] != there["digest"]:
            raise machine.Fault("not-equal", f"{here['files']} files here and {there['files']} on the other droplet are not the same")
        return {"bytes": moved, "digest": here["digest"], "equal": True, "files": here["files"]}

    def rsync(self, link, folder: str, progress, *more: str) -> int:
        """Returns the bytes of the files that it brought."""
        if os.path.exists(self.own()):
            more += ("--backup", "--backup-dir=" + self.aside(str(len(self.passes()))))
        process = link.run(*RSYNC, "--compress", "--compress-level=1", "--partial", "--force", "--stats", "--info=progress2",
                           "--outbuf=L", *more, "--rsh=" + link.shell(), f"source:{self.name}/", folder + "/")
        said: list[bytes] = []
        listening = threading.Thread(target=lambda: said.append(process.stderr.read()), daemon=True)
        listening.start()
        moved = 0
        for line in follow(process.stdout):
            if found := PROGRESS.match(line):
                done, share = plain(found[1]), int(found[2])
                progress(done, done * 100 // share if share else done)
            elif found := MOVED.match(line):
                moved = plain(found[1])
        status = process.wait()
        listening.join()
        # Files that vanished meanwhile are no fault while the app goes on.
        if status != 0 and not (status == 24 and "--delete" not in more):
            raise fault(status, b"".join(said))
        return moved

    def dump(self, folder: str) -> list[str]:
        return [self.present()]

    def load(self, folder: str) -> None:
        """folder: the tree itself."""
        os.makedirs(self.folder(), exist_ok=True)
        load(folder, self.folder())

    def mark(self):
        return time.time_ns()

    def since(self, mark) -> int:
        return tree.changed(self.present(), mark)


def purge(folder: str, own: dict) -> None:
    """Takes away what a note knows nothing of, or as something else."""
    for path, info in sorted(tree.walk(folder, ""), reverse=True):
        if path not in own or stat.S_IFMT(own[path][0]) != stat.S_IFMT(info.st_mode):
            (os.rmdir if stat.S_ISDIR(info.st_mode) else os.unlink)(os.path.join(folder, path))


def give(path: str, mode: int, uid: int, gid: int) -> None:
    """Makes a path what a note says of it. A file that is not there cannot be made."""
    if stat.S_ISDIR(mode):
        os.makedirs(path, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        os.lchown(path, uid, gid)
        if not stat.S_ISLNK(mode):
            os.chmod(path, stat.S_IMODE(mode))


def load(tree: str, folder: str, *more: str, deletes: bool = True) -> None:
    """Makes a folder what a tree on this machine is; without deletes, adds that to it."""
    done = machine.run(*RSYNC, *(["--delete"] if deletes else []), *more, tree.rstrip("/") + "/", folder + "/", check=False, timeout=24 * 3600)
    if done.returncode != 0:
        raise fault(done.returncode, done.stderr)


def follow(output):
    """Lines that end in a carriage return too, as soon as they come."""
    rest = b""
    while piece := output.read1(1 << 16):
        *lines, rest = re.split(rb"[\r\n]", rest + piece)
        yield from lines
    yield rest


def plain(digits: bytes) -> int:
    return int(digits.replace(b",", b""))


def fault(status: int, said: bytes) -> machine.Fault:
    machine.note(f"rsync ended with {status}: {machine.last_line(said)}")
    if b"No space left" in said or b"Disk quota" in said:
        return machine.Fault("disk-full", "there is no room left on the disk", side="new")
    if status in (10, 12, 30, 35, 255, -9, -15):
        return machine.Fault("cut", "the connection to the other droplet was cut")
    return machine.Fault("engine", f"rsync: {machine.last_line(said)}")
