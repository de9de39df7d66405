"""The connection from the new droplet to the old one.

The new one opens one SSH connection and has conversations over it, each with a
`state serve` of its own, which the old one's sshd starts and which can do no more
than this file lets it. A message is a line of JSON, followed by as many bytes as
its "payload" says."""
import contextlib
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
import phase

PIECE = 1 << 20  # bytes of a message that carries a file's content


class Stream:
    """One conversation. send and receive may be called by a thread each."""

    def __init__(self, reader: BinaryIO, writer: BinaryIO, process: subprocess.Popen | None = None):
        self.reader, self.writer, self.process = reader, writer, process
        self.sending = threading.Lock()

    def send(self, message: dict, payload=b"") -> None:
        """payload: anything bytes-like. A fault where the other side is gone."""
        head = {**message, "payload": len(payload)} if len(payload) else message
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
            size = message.get("payload", 0) if message else 0
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

    CONFIG = """Host source
	HostName {address}
	Port {port}
	User root
	HostKeyAlias source
	IdentityFile {folder}/key
	UserKnownHostsFile {folder}/known_hosts
	ControlPath {folder}/master
	IdentitiesOnly yes
	StrictHostKeyChecking yes
	BatchMode yes
	ConnectTimeout 4
	ServerAliveInterval 1
	ServerAliveCountMax 3
	ControlMaster auto
	ControlPersist 600
	LogLevel ERROR
"""

    def __init__(self, source: dict):
        self.folder = machine.runtime("link")
        os.makedirs(self.folder, mode=0o700, exist_ok=True)
        self.streams: set[subprocess.Popen] = set()
        self.waiting: list[Stream] = []
        self.closed = False
        machine.write(f"{self.folder}/key", source["key"].strip().encode() + b"\n", 0o600)
        machine.write(f"{self.folder}/known_hosts", b"source " + source["host_key"].encode() + b"\n", 0o600)
        content = self.CONFIG.format(address=source["address"], port=int(source.get("port") or 22), folder=self.folder)
        before = self.config()
        machine.write(f"{self.folder}/config", content.encode(), 0o600)
        if before != content.encode():
            self.end_master()
        try:
            self.connect()
        finally:
            machine.remove(f"{self.folder}/key")

    def config(self) -> bytes:
        with contextlib.suppress(FileNotFoundError), open(f"{self.folder}/config", "rb") as file:
            return file.read()
        return b""

    def ssh(self, *arguments: str) -> list[str]:
        return ["ssh", "-F", f"{self.folder}/config", *arguments]

    def through(self, *arguments: str) -> list[str]:
        """A program over the connection that is there. Where it is gone, ssh by itself
        would make another one: without the key, and for seconds that writers wait."""
        return self.ssh("-o", "ProxyCommand=false", *arguments)

    def connect(self) -> None:
        """Opens the connection, if it is not there still. In the background it
        would keep a pipe open, so that what it says goes to a file."""
        if machine.run(*self.ssh("-O", "check", "source"), check=False, timeout=5).returncode == 0:
            return
        with open(f"{self.folder}/log", "w+b") as log:
            try:
                done = subprocess.run(self.ssh("-f", "-N", "source"), stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=15)
            except subprocess.TimeoutExpired:
                raise machine.Fault("cut", "the other droplet does not answer") from None
            log.seek(0)
            if done.returncode != 0:
                raise machine.Fault("cut", "the other droplet cannot be reached: " + machine.last_line(log.read()))

    def open(self, entry: str, op: str, **request) -> Stream:
        """A conversation with the source's entry. Its end is the caller's: use `with`."""
        if self.closed:
            raise machine.Fault("cut", "the connection to the other droplet was given up")
        stream = self.waiting.pop() if self.waiting else self.dial()
        stream.send({"entry": entry, "op": op, **request})
        return stream

    def dial(self) -> Stream:
        process = subprocess.Popen(self.through("source", "state"), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.DEVNULL, bufsize=1 << 18)
        self.streams.add(process)
        return Stream(process.stdout, process.stdin, process)

    def warm(self, number: int) -> None:
        """Has so many conversations begun, for open to find: they start side by side."""
        self.waiting += [self.dial() for _ in range(number)]

    def shell(self) -> str:
        """What rsync has to be given as --rsh; the host is called `source`, an
        entry's name stands for its folder."""
        return shlex.join(self.through())

    def run(self, *command: str) -> subprocess.Popen:
        """A command that ends where the link is given up. Its output is to be read."""
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.streams.add(process)
        if self.closed:
            process.kill()
        return process

    def give_up(self) -> None:
        """Ends all conversations: whoever waits in one gets a fault."""
        self.closed = True
        for process in list(self.streams):
            process.kill()

    def close(self) -> None:
        while self.waiting:
            self.waiting.pop().close()

    def end_master(self) -> None:
        machine.run(*self.ssh("-O", "exit", "source"), check=False, timeout=5)


def forget() -> None:
    """Ends the connection that earlier passes left open."""
    folder = machine.runtime("link")
    if os.path.exists(f"{folder}/config"):
        machine.run("ssh", "-F", f"{folder}/config", "-O", "exit", "source", check=False, timeout=5)
        shutil.rmtree(folder, ignore_errors=True)


def serve(_: list[str]) -> None:
    """The source's end of a conversation, started by sshd for the lent key."""
    lent = machine.load(machine.kept("lent.json"))
    if not lent or lent["until_ms"] < machine.now_ms():
        sys.exit("state: nothing is lent")
    asked = shlex.split(os.environ.get("SSH_ORIGINAL_COMMAND", ""))
    if asked[:1] == ["rsync"]:
        become_rsync(asked)
    stream = Stream(sys.stdin.buffer, sys.stdout.buffer)
    try:
        request, _ = stream.receive()
        converse(request, stream)
    except Exception as error:
        if isinstance(error, machine.Fault) and error.code == "cut":
            return
        answer = told(error)
        with contextlib.suppress(machine.Fault):
            stream.send({"error": {**answer, "side": "old"}})


def told(error: Exception) -> dict:
    if os.environ.get("CATTLE_TRACE"):
        import traceback
        traceback.print_exception(error)
    if isinstance(error, machine.Fault):
        return error.told()
    return machine.Fault("engine", type(error).__name__).told()


def converse(request: dict, stream: Stream) -> None:
    name, op = request["entry"], request["op"]
    if name:
        try:
            entries.named(name).serve(op, request, stream)
        except machine.Fault as fault:
            fault.entry = fault.entry or name
            raise
    elif op == "control":
        control(stream)


def control(stream: Stream) -> None:
    """Answers for the droplet as a whole, until nobody asks any more."""
    while True:
        question, _ = stream.receive()
        if question["ask"] == "phase":
            import freeze
            stream.send({**phase.read(), "held": freeze.held()})
        elif question["ask"] == "facts":
            stream.send({"facts": [entry.facts() for entry in entries.of(machine.spec())]})


# What a pull's own rsync asks of its other half, and nothing that writes.
ASKED = {"--server", "--sender", "--numeric-ids", "--delete", "--modify-window=-1", "--checksum", "--new-compress",
         "--compress-level=1", "--no-r", "--partial", "--inplace", "--delete-during", "--delete-after", "."}


def become_rsync(asked: list[str]) -> None:
    """Becomes the sending half of an rsync, in the folder of the entry it names."""
    options, name = asked[1:-1], asked[-1]
    if "--backup-dir" in options:  # a folder of the side that asks: nothing is put aside here
        at = options.index("--backup-dir")
        del options[at:at + 2]
    harmless = all(option in ASKED or option.startswith("-") and not option.startswith("--") for option in options)
    if "--sender" not in options or not harmless:
        sys.exit("state: rsync may only read here")
    entry = entries.named(name.rstrip("/"))
    if entry.kind != "files":
        sys.exit("state: that is not a folder of files")
    os.execvp("rsync", ["rsync", *options, entry.folder().rstrip("/") + "/"])
