"""The connection from the new droplet to the old one.

The new one opens one SSH connection and has conversations over it, each with a
`state serve` of its own, which the old one's sshd starts and which can do no more
than this file lets it. A message is a line of JSON, followed by as many bytes as
its "bytes" says."""
import json
import os
import shlex
import shutil
import subprocess
import sys
import threading
import zlib
from typing import BinaryIO

import entries
import machine

PIECE = 1 << 20  # bytes of a message that carries a file's content


class Stream:
    """One conversation. send and receive may be called by a thread each."""

    def __init__(self, reader: BinaryIO, writer: BinaryIO, process: subprocess.Popen | None = None):
        self.reader, self.writer, self.process = reader, writer, process
        self.sending = threading.Lock()

    def send(self, message: dict, payload=b"") -> None:
        """payload: anything bytes-like. A fault where the other side is gone."""
        head = {**message, "bytes": len(payload)} if len(payload) else message
        try:
            with self.sending:
                self.writer.write(json.dumps(head).encode() + b"\n")
                if len(payload):
                    self.writer.write(payload)
                self.writer.flush()
        except (OSError, ValueError):
            raise self.cut() from None

    def receive(self) -> tuple[dict, bytes]:
        """The next message and its bytes. What the other side failed of is raised here."""
        try:
            line = self.reader.readline()
            message = json.loads(line) if line.endswith(b"\n") else None
            size = message.get("bytes", 0) if message else 0
            payload = self.reader.read(size) if size else b""
        except (OSError, ValueError):
            raise self.cut() from None
        if message is None or len(payload) != size:
            raise self.cut()
        if "error" in message:
            told = message["error"]
            raise machine.Fault(told["code"], told["message"], told["entry"], told["side"])
        return message, payload

    def ask(self, message: dict) -> dict:
        self.send(message)
        return self.receive()[0]

    def send_all(self, source: BinaryIO) -> int:
        """Sends what can be read from source, compressed; returns how many bytes that was."""
        total = 0
        while piece := source.read(PIECE):
            total += len(piece)
            self.send({"raw": len(piece)}, zlib.compress(piece, 1))
        self.send({"end": total})
        return total

    def receive_all(self, target: BinaryIO, progress=lambda total: None) -> int:
        """The other side's send_all, written to target. progress gets the bytes so far."""
        total = 0
        while True:
            message, payload = self.receive()
            if "end" in message:
                return total
            target.write(zlib.decompress(payload))
            total += message["raw"]
            progress(total)

    def cut(self) -> machine.Fault:
        return machine.Fault("cut", "the connection to the other droplet was cut")

    def close(self) -> None:
        if self.process is None:
            return
        for end in (self.writer, self.reader):
            try:
                end.close()
            except OSError:
                pass
        try:
            self.process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Link:
    """All conversations with one source. Its connection outlives the process, so
    that the pass that writers wait for finds it open; the key does not."""

    def __init__(self, source: dict):
        self.source = source

    def open(self, entry: str, op: str, **request) -> Stream:
        """A conversation with the source's entry. Its end is the caller's: use `with`."""
        raise NotImplementedError

    def shell(self) -> str:
        """What rsync has to be given as --rsh; the host is called `source`."""
        raise NotImplementedError


def serve(_: list[str]) -> None:
    """The source's end of a conversation, started by sshd for the lent key."""
    raise NotImplementedError
