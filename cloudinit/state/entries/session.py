"""Conversations with a server's own client, which runs in the server's container."""
import contextlib
import json
import os
import select
import signal
import subprocess
import tempfile
import time

import machine

PATIENCE = 60  # seconds for a question that no table's size has a part in
END = "cattle: that was all"  # the row after the rows of an answer


class Session:
    """One connection to the server, kept open: starting a program in a container
    takes longer than most questions."""

    def __init__(self, server, command: list[str]):
        self.server, self.rest, self.asked = server, b"", time.monotonic()
        self.errors = tempfile.TemporaryFile()
        self.process = server.start(command, subprocess.PIPE, subprocess.PIPE, self.errors)

    def lines(self, sql: str, patience: float = PATIENCE) -> list[str]:
        """What the server answers, a line each. A fault where it refuses."""
        self.asked = time.monotonic()
        answer, end = [], self.asked + patience
        try:
            self.process.stdin.write(f"{sql};\nSELECT '{END}';\n".encode())
            self.process.stdin.flush()
        except BrokenPipeError:
            self.fail()
        while (line := self.line(end)) != END:
            answer.append(line)
        return answer

    def rows(self, sql: str, patience: float = PATIENCE) -> list:
        """The answer to a question whose rows are JSON."""
        return [json.loads(line) for line in self.lines(sql, patience)]

    def line(self, end: float) -> str:
        while b"\n" not in self.rest:
            if not select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))[0]:
                raise machine.Fault("engine", f"{self.server.service} does not answer")
            piece = os.read(self.process.stdout.fileno(), 1 << 16)
            if not piece:
                self.fail()
            self.rest += piece
        line, _, self.rest = self.rest.partition(b"\n")
        return line.decode(errors="replace")

    def fail(self):
        """The program has ended, though nobody told it to."""
        self.process.wait()
        raise self.server.fault(self.errors)

    def alive(self) -> bool:
        """Whether the server still knows the session: a client that asks nothing
        does not notice that its server was killed. It is asked once a second."""
        if time.monotonic() - self.asked < 1:
            return self.process.poll() is None
        try:
            self.lines("SELECT 1", 10)
            return True
        except machine.Fault:
            return False

    def close(self) -> None:
        """Lets the program end by itself: one that is killed may live on in the container."""
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            self.process.stdin.close()
            self.process.wait(timeout=1)
        stop(self.process)
        self.errors.close()

    def __enter__(self):
        return self

    def __exit__(self, error, *_):
        if error or not self.server.keep(self):
            self.close()


def stop(process: subprocess.Popen) -> None:
    """Ends a program and what it started: docker's compose is a child of docker's."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for end in (process.stdin, process.stdout):
        if end:
            with contextlib.suppress(OSError):
                end.close()
