"""Databases of a server that runs in a service of the app.

The server's own tools do the work, in its own container: they fit its version
whatever it is, and the droplet needs none of them. What moves is a whole dump,
twice: once while the app goes on, which shows how long it takes, and once while
the server lets nobody write. Then both sides count and add up every table."""
import contextlib
import hashlib
import json
import os
import secrets
import select
import shutil
import signal
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import machine
import phase
from entries import Entry

PATIENCE = 60  # seconds for a question that no table's size has a part in
STARTS = 180  # seconds for a server's first start, which makes its files
END = "cattle: that was all"  # the row after the rows of an answer


class Version(NamedTuple):
    """Of a server. Dumps go from one to an equal or newer one of the same kind."""
    kind: str
    number: tuple[int, ...]  # as much of it as a dump depends on
    text: str


class Absent(machine.Fault):
    """There is no such service, or it has none of the databases: no app has made them yet."""

    def __init__(self, message: str):
        super().__init__("entry-empty", message)


class Down(machine.Fault):
    """The service does not run: what it has nobody can tell."""

    def __init__(self, service: str):
        super().__init__("engine", f"the service {service} does not run")


class Session:
    """One connection to the server, kept open: starting a program in a container
    takes longer than most questions."""

    def __init__(self, server: "Server", command: list[str]):
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

    def __exit__(self, *_):
        self.close()


class Server(Entry):
    """What MySQL and PostgreSQL have in common."""

    variable = ""  # in which the tools look for the password

    def __init__(self, spec: dict):
        super().__init__(spec)
        self.service, self.user, self.databases = spec["service"], spec["user"], spec["databases"]
        self.holder: Session | None = None

    # What a kind has to know.

    def session(self, database: str = "") -> Session:
        raise NotImplementedError

    def version(self, session: Session) -> Version:
        raise NotImplementedError

    def sizes(self, session: Session) -> dict[str, int]:
        """Bytes of each database that the server has, ours or not."""
        raise NotImplementedError

    def answers(self) -> bool:
        """Whether the server that stays is up: an image's first start has another one before."""
        raise NotImplementedError

    def seize(self, deadline_s: float) -> None:
        """Has nobody commit any more."""
        raise NotImplementedError

    def seized(self) -> str:
        """What tells the connections that hold from others, empty when nothing holds."""
        raise NotImplementedError

    def let_go(self) -> None:
        """Undoes seize, of whichever process."""
        raise NotImplementedError

    def accounts(self) -> dict:
        """Who may do what, without those that the image makes: {"before": sql, "after": sql}."""
        raise NotImplementedError

    def admit(self, sql: str) -> None:
        """Makes accounts; those that are there already stay as they are."""
        raise NotImplementedError

    def grant(self, sql: str) -> None:
        """Gives them their rights, after the databases are there."""
        raise NotImplementedError

    def describe(self, database: str) -> dict:
        """What a database is besides its content."""
        raise NotImplementedError

    def dumper(self, database: str) -> list[str]:
        raise NotImplementedError

    def fill(self, database: str, described: dict, feed) -> None:
        """Makes the database anew of a dump, which feed(file) writes. Whatever
        fails, no half of one is taken for a whole."""
        raise NotImplementedError

    def sums(self, database: str) -> dict:
        """{"tables": {name: [rows, sum]}} and whatever else has to be equal."""
        raise NotImplementedError

    def explain(self, text: str) -> machine.Fault:
        """What a tool's complaint means."""
        raise NotImplementedError

    def present(self, session: Session) -> dict[str, int]:
        """Those of ours that are there, with their bytes; Absent where none is."""
        sizes = self.sizes(session)
        present = {database: sizes[database] for database in self.databases if database in sizes}
        if not present:
            raise Absent(f"{self.service} has no database {', '.join(self.databases)}")
        return present

    # Programs in the container.

    def start(self, command: list[str], stdin, stdout, errors) -> subprocess.Popen:
        """Starts a program. The password is in its environment; compose takes it from ours."""
        password = machine.secret(self.spec.get("password", ""))
        named = ["-e", self.variable] if password else []
        return subprocess.Popen(
            [machine.path("/opt/cattle/compose"), "exec", "-T", *named, self.service, *command],
            stdin=stdin, stdout=stdout, stderr=errors, start_new_session=True,
            env={**os.environ, **({self.variable: password} if password else {})})

    @contextlib.contextmanager
    def program(self, command: list[str], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL):
        """Runs a program; where it fails, that is raised at the end of the block,
        and where the block fails, the program is ended."""
        with tempfile.TemporaryFile() as errors:
            process = self.start(command, stdin, stdout, errors)
            try:
                yield process
                if process.stdin:
                    process.stdin.close()
                process.wait()
            except BrokenPipeError:
                process.wait()
            finally:
                failed = process.poll()
                stop(process)
            if failed != 0:
                raise self.fault(errors)

    def fault(self, errors) -> machine.Fault:
        """What a program's complaint means. The password is taken out of what is
        quoted alone: a short one may be in words that say what happened."""
        errors.seek(0)
        text = errors.read()[-4000:].decode(errors="replace")
        fault, password = self.meaning(text), machine.secret(self.spec.get("password", ""))
        if password and fault.code == "engine":
            fault.message = self.meaning(text.replace(password, "[secret]")).message
        return fault

    def meaning(self, text: str) -> machine.Fault:
        if "No space left" in text or "is full" in text:
            return machine.Fault("disk-full", f"{self.service} has no room left on its disk")
        if "no such service" in text:
            return Absent(f"there is no service {self.service}")
        if "is not running" in text or "no container found" in text or "is restarting" in text:
            return Down(self.service)
        return self.explain(text)

    def ready(self) -> None:
        """Starts the server if it has to be, and waits until it answers."""
        end, started = time.monotonic() + STARTS, False
        while True:
            try:
                if self.answers():
                    return
                why = machine.Fault("engine", f"{self.service} did not get ready")
            except machine.Fault as fault:
                why = fault
                if fault.code == "wrong-password":
                    raise
            if isinstance(why, Down) and not started:
                machine.compose("up", "--detach", self.service, timeout=STARTS)
                started = True
            if time.monotonic() > end:
                raise why
            time.sleep(0.5)

    # The interface of an entry.

    def facts(self) -> dict:
        facts = {"name": self.name, "kind": self.kind, "bytes": 0, "empty": True}
        try:
            with self.session() as session:
                facts["version"] = self.version(session).text
                return {**facts, "bytes": sum(self.present(session).values()), "empty": False}
        except Absent:
            return facts
        except Down:
            # On a new droplet it was never started; elsewhere it has data that must not be forgotten.
            if phase.read()["phase"] == "new":
                return facts
            raise

    def here(self) -> int:
        return self.facts()["bytes"]

    def hold(self, deadline_s: float) -> None:
        if self.held():
            return
        if self.holder:
            self.holder.close()
            self.holder = None
        # First of all the note that there is something to undo.
        machine.store(self.note(), secrets.token_hex(8))
        self.seize(deadline_s)

    def held(self) -> bool:
        """Whether this process's hold is still in force."""
        return self.still_held() and bool(self.holding())

    def still_held(self) -> bool:
        return self.holder is not None and self.holder.alive()

    def holding(self) -> str:
        """Says which hold is in force, empty when none is: another text, another hold."""
        token = machine.load(self.note())
        seized = self.seized() if token else ""
        return f"{token} {seized}" if seized else ""

    def release(self) -> None:
        if self.holder:
            self.holder.close()
            self.holder = None
        if os.path.exists(self.note()):
            self.let_go()
            machine.remove(self.note())

    def note(self) -> str:
        return machine.kept(f"{self.name}.hold")

    def serve(self, op: str, request: dict, stream) -> None:
        match op:
            case "begin":
                with self.session() as session:
                    version = self.version(session)
                    stream.send({"version": version, "databases": self.present(session), "hold": self.holding(), **self.accounts()})
            case "dump":
                database = self.own(request["database"])
                stream.send(self.describe(database))
                with self.program(self.dumper(database), stdout=subprocess.PIPE) as process:
                    stream.send_all(process.stdout)
                # Only now is it known that this was all of it.
                stream.send({"whole": True})
            case "sums":
                stream.send({"sums": {database: self.sums(self.own(database)) for database in request["databases"]}})
            case "hold":
                stream.send({"hold": self.holding()})
            case _:
                super().serve(op, request, stream)

    def own(self, database: str) -> str:
        if database not in self.databases:
            raise machine.Fault("engine", "that database is not among this entry's")
        return database

    def pull(self, link, final: bool, progress) -> dict:
        begun = time.monotonic()
        with ThreadPoolExecutor(2) as beside:
            asked = beside.submit(self.asks, link, "begin")
            self.ready()
            theirs = asked.result()
            self.fits(theirs["version"])
            if final and not theirs["hold"]:
                raise machine.Fault("not-frozen", f"{self.service} still lets others write", side="old")
            if not final and os.path.exists(self.note()):
                return self.rehearse(link, theirs["databases"])
            self.release()
            databases = theirs["databases"]
            wanted = beside.submit(self.asks, link, "sums", databases=list(databases)) if final else None
            self.admit(theirs["before"])
            moved = 0
            for database in databases:
                moved += self.fetch(link, self.own(database), moved, sum(databases.values()), progress)
            self.grant(theirs["after"])
            found = {database: self.sums(database) for database in databases}
            if final:
                equal(wanted.result()["sums"], found)
                if self.asks(link, "hold")["hold"] != theirs["hold"]:
                    raise machine.Fault("not-frozen", f"{self.service} let others write for a moment", side="old")
        return {"bytes": moved, "estimate_ms": round(1000 * (time.monotonic() - begun)),
                "digest": hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest(), "equal": final,
                "rows": {table: rows for sums in found.values() for table, (rows, _) in sums["tables"].items()}}

    def asks(self, link, op: str, **request) -> dict:
        with link.open(self.name, op, **request) as stream:
            return stream.receive()[0]

    def rehearse(self, link, databases: dict) -> dict:
        """On a standby, which is held and keeps its own until the copy that counts:
        how long the dumps take to come. Putting them in place takes about twice that."""
        begun, moved = time.monotonic(), 0
        with open(os.devnull, "wb") as nowhere:
            for database in databases:
                with link.open(self.name, "dump", database=database) as stream:
                    stream.receive()
                    moved += stream.receive_all(nowhere)
                    stream.receive()
        return {"bytes": moved, "estimate_ms": round(3000 * (time.monotonic() - begun)), "digest": "", "equal": False}

    def fits(self, theirs: list) -> None:
        """A fault where this server cannot read the other one's dump."""
        old = Version(theirs[0], tuple(theirs[1]), theirs[2])
        with self.session() as session:
            new = self.version(session)
        if old.kind != new.kind:
            raise machine.Fault("server-older", f"data of {old.text} cannot go to {new.text}: they are two kinds of server")
        if old.number > new.number:
            raise machine.Fault("server-older", f"data of {old.text} cannot go to the older {new.text}")

    def fetch(self, link, database: str, before: int, of: int, progress) -> int:
        """Has one database made anew here; returns the bytes of its dump."""
        moved = 0

        def feed(file) -> None:
            nonlocal moved
            moved = stream.receive_all(file, lambda total: progress(before + total, max(of, before + total)))
            stream.receive()

        with link.open(self.name, "dump", database=database) as stream:
            self.fill(database, stream.receive()[0], feed)
        return moved

    def dump(self, folder: str) -> list[str]:
        with self.session() as session:
            present = self.present(session)
        about = {"accounts": self.accounts(), "databases": {}}
        for database in present:
            about["databases"][database] = self.describe(database)
            with open(self.file(folder, database), "wb") as target, self.program(self.dumper(database), stdout=target):
                pass
        machine.store(os.path.join(folder, "about.json"), about, 0o600)
        return [folder]

    def load(self, folder: str) -> None:
        about = machine.load(os.path.join(folder, "about.json"))
        databases = [database for database in self.databases if about and database in about["databases"]]
        if not databases:
            raise machine.Fault("entry-missing", f"the backup has nothing of {self.name}")
        self.ready()
        self.release()
        self.admit(about["accounts"]["before"])
        for database in databases:
            with open(self.file(folder, database), "rb") as source:
                self.fill(database, about["databases"][database], lambda file: shutil.copyfileobj(source, file, 1 << 20))
        self.grant(about["accounts"]["after"])

    def dumped(self, folder: str) -> list[str]:
        """The dumps in a folder."""
        about = machine.load(os.path.join(folder, "about.json")) or {"databases": {}}
        return [self.file(folder, database) for database in about["databases"]]

    def file(self, folder: str, database: str) -> str:
        """Where a dump lies. Databases may have any name, files may not."""
        return os.path.join(folder, database.encode().hex() + ".dump")


def equal(wanted: dict, found: dict) -> None:
    """A fault that names the first difference."""
    for database, sums in wanted.items():
        for what, things in sums.items():
            for name in sorted(things.keys() | found[database][what].keys()):
                have = found[database][what].get(name)
                # The next number may be further than it was: no number is given twice.
                if things.get(name) != have and not (what == "next" and have and have >= things.get(name, 0)):
                    raise machine.Fault("not-equal", f"of {database}, {what} {name} arrived different from what was sent")


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
