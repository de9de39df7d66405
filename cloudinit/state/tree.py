"""The digest of a folder: each path with its type, mode, owner, size and content.
What a file held is remembered for as long as it looks untouched."""
import concurrent.futures
import hashlib
import json
import os
import stat
import time

import machine

# A clock stands still for some milliseconds: what was written just now may be
# written again and look the same.
SETTLED_NS = 1_000_000_000


def digest(folder: str, memory: str) -> dict:
    """{"digest","files","bytes"} of what is below folder. memory: the file that keeps
    the hashes of contents between two calls."""
    known, settled = machine.load(memory) or {}, time.time_ns() - SETTLED_NS
    found = list(walk(folder, ""))
    looks = {path: looked(info) for path, info in found if stat.S_ISREG(info.st_mode)}
    fresh = [path for path, look in looks.items() if known.get(path, [None])[0] != look]
    hashes = {path: known[path][1] for path in looks if path in known}
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        hashes.update(zip(fresh, pool.map(lambda path: content(os.path.join(folder, path)), fresh)))
    if fresh or len(known) != len(looks):
        old = {path: [look, hashes[path]] for path, look in looks.items() if look[3] < settled}
        machine.store(memory, old, 0o600, False)
    whole = hashlib.blake2b(digest_size=16)
    for path, info in sorted(found):
        whole.update(line(folder, path, info, hashes.get(path, "")))
    return {"digest": whole.hexdigest(), "files": len(looks), "bytes": sum(look[1] for look in looks.values())}


def walk(folder: str, below: str):
    """Each path with what lstat says. One that vanishes meanwhile is left out."""
    yield below, os.lstat(os.path.join(folder, below))
    pending = [below]
    while pending:
        inside = pending.pop()
        try:
            listed = list(os.scandir(os.path.join(folder, inside)))
        except FileNotFoundError:
            continue
        for one in listed:
            path = os.path.join(inside, one.name)
            try:
                info = one.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            yield path, info
            if stat.S_ISDIR(info.st_mode):
                pending.append(path)


def looked(info: os.stat_result) -> list[int]:
    return [info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns]


def content(file: str) -> str:
    try:
        with open(file, "rb") as opened:
            return hashlib.file_digest(opened, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    except FileNotFoundError:
        return ""


def line(folder: str, path: str, info: os.stat_result, held: str) -> bytes:
    kind = stat.S_IFMT(info.st_mode)
    if kind == stat.S_IFLNK:
        held = os.readlink(os.path.join(folder, path))
    size = info.st_size if kind == stat.S_IFREG else 0
    device = info.st_rdev if kind in (stat.S_IFBLK, stat.S_IFCHR) else 0
    return json.dumps([path, info.st_mode, info.st_uid, info.st_gid, size, device, held]).encode() + b"\n"


def changed(folder: str, since_ns: int) -> int:
    """How many files changed after a time; at least 1 where one was only taken away."""
    files = folders = 0
    for _, info in walk(folder, ""):
        if info.st_ctime_ns > since_ns:
            files, folders = (files, folders + 1) if stat.S_ISDIR(info.st_mode) else (files + 1, folders)
    return files or min(1, folders)
