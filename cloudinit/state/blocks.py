"""Making a file equal to one on the other droplet by sending what differs.

Both sides hash their file at the same time, block by block. The source sends its
hashes; the destination asks for the blocks that differ from its own, with hashes
of their pages; the source answers with the pages that differ. There is nothing to
remember between two passes, and a pass that was cut goes on where it was."""
import hashlib
import os
import queue
import threading
import zlib

import machine

BLOCK, PAGE = 64 << 10, 4 << 10  # bytes; a page is what databases change
CHUNK = 64                       # blocks in a message
LONG, SHORT = 16, 8              # bytes of a block's hash and of a page's


def digest(piece, size: int = LONG) -> bytes:
    return hashlib.blake2b(piece, digest_size=size).digest()


def split(data, size: int) -> list:
    view = memoryview(data)
    return [view[at:at + size] for at in range(0, len(view), size)]


def chunk(file: int, number: int) -> bytes:
    return os.pread(file, BLOCK * CHUNK, number * BLOCK * CHUNK)


def count(size: int) -> int:
    return -(-size // (BLOCK * CHUNK))


class Source:
    """Serves open files, given as {part: (descriptor, size)}, to one Target each."""

    def __init__(self, stream, parts: dict[str, tuple[int, int]]):
        self.stream, self.parts = stream, parts

    def run(self) -> None:
        """Returns once the other side has all that it asked for."""
        answering = threading.Thread(target=self.announce, daemon=True)
        answering.start()
        while True:
            message, pages = self.stream.receive()
            if "want" not in message:
                break
            self.answer(message["part"], message["want"], pages)
        answering.join()
        self.stream.send({"end": True})

    def announce(self) -> None:
        for part, (file, size) in self.parts.items():
            for number in range(count(size)):
                data = memoryview(chunk(file, number))[:max(0, size - number * BLOCK * CHUNK)]
                self.stream.send({"part": part, "chunk": number}, b"".join(map(digest, split(data, BLOCK))))

    def answer(self, part: str, want: list, pages: bytes) -> None:
        """Sends of each wanted block the pages that differ from those whose hashes came along."""
        file, size = self.parts[part]
        places, pieces, known = [], [], memoryview(pages)
        for block, hashed in want:
            theirs, known = known[:hashed * SHORT], known[hashed * SHORT:]
            data = os.pread(file, min(BLOCK, size - block * BLOCK), block * BLOCK)
            for index, page in enumerate(split(data, PAGE)):
                if digest(page, SHORT) != theirs[index * SHORT:(index + 1) * SHORT]:
                    places.append([block * BLOCK + index * PAGE, len(page)])
                    pieces.append(page)
        raw = b"".join(pieces)
        packed = zlib.compress(raw, 1) if worth(raw) else raw
        self.stream.send({"part": part, "places": places, "blocks": [block for block, _ in want],
                          "packed": packed is not raw}, packed)


def worth(raw: bytes) -> bool:
    """Whether a sample of it gets smaller."""
    sample = raw[:16 << 10]
    return len(zlib.compress(sample, 1)) < len(sample) * 0.8


class Target:
    """Makes files, given as {part: (descriptor, size that it gets)}, equal to the source's."""

    def __init__(self, stream, parts: dict[str, tuple[int, int]], progress=lambda moved, seen: None):
        self.stream, self.parts, self.progress = stream, parts, progress
        self.hashes = {part: {} for part in parts}
        self.moved = self.seen = 0
        self.failed: Exception | None = None

    def run(self, final: bool) -> str:
        """Returns the digest of what the source has. final: the source does not
        change meanwhile, and what is here afterwards was compared with it."""
        chunks: queue.SimpleQueue = queue.SimpleQueue()
        # Wants are sent by a thread of its own: answers are read at all times, or
        # both sides could wait for each other.
        asking = threading.Thread(target=self.ask, args=(chunks,), daemon=True)
        asking.start()
        self.read(chunks, final)
        asking.join()
        if self.failed:
            raise self.failed
        whole = hashlib.blake2b(digest_size=LONG)
        for part, (file, size) in self.parts.items():
            os.ftruncate(file, size)
            whole.update(b"%d\n" % size + b"".join(self.hashes[part][number] for number in range(count(size))))
        return whole.hexdigest()

    def read(self, chunks: queue.SimpleQueue, final: bool) -> None:
        left = sum(count(size) for _, size in self.parts.values())
        if not left:
            chunks.put(None)
        while True:
            message, payload = self.stream.receive()
            if "chunk" in message:
                self.hashes[message["part"]][message["chunk"]] = payload
                chunks.put((message["part"], message["chunk"], payload))
                left -= 1
                if not left:
                    chunks.put(None)
            elif "places" in message:
                self.write(message, payload, final)
            else:
                return

    def ask(self, chunks: queue.SimpleQueue) -> None:
        try:
            while (item := chunks.get()) is not None:
                self.compare(*item)
            self.stream.send({"done": True})
        except Exception as error:
            self.failed = error
            self.stream.close()

    def compare(self, part: str, number: int, theirs: bytes) -> None:
        file, size = self.parts[part]
        mine = split(memoryview(chunk(file, number))[:max(0, size - number * BLOCK * CHUNK)], BLOCK)
        want, pages = [], []
        for index in range(len(theirs) // LONG):
            data = mine[index] if index < len(mine) else b""
            if digest(data) != theirs[index * LONG:(index + 1) * LONG]:
                hashed = [digest(page, SHORT) for page in split(data, PAGE)]
                want.append([number * CHUNK + index, len(hashed)])
                pages += hashed
        self.seen += len(theirs) // LONG * BLOCK
        if want:
            self.stream.send({"part": part, "want": want}, b"".join(pages))
        self.progress(self.moved, self.seen)

    def write(self, message: dict, payload: bytes, final: bool) -> None:
        file, size = self.parts[message["part"]]
        data = memoryview(zlib.decompress(payload) if message["packed"] else payload)
        for place, length in message["places"]:
            full(file, data[:length], place)
            data = data[length:]
            self.moved += length
        for block in message["blocks"] if final else ():
            theirs = self.hashes[message["part"]][block // CHUNK][block % CHUNK * LONG:][:LONG]
            if digest(os.pread(file, min(BLOCK, size - block * BLOCK), block * BLOCK)) != theirs:
                raise machine.Fault("not-equal", "the copy is not what the other droplet has")
        self.progress(self.moved, self.seen)


def full(file: int, data, place: int) -> None:
    while len(data):
        written = os.pwrite(file, data, place)
        data, place = data[written:], place + written
