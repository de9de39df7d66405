"""Databases of a server that runs in a service of the app.

The server's own tools do the work, in its own container: they fit its version
whatever it is, and the droplet needs none of them. What moves are dumps, twice:
once while the app goes on, which shows how long it takes, and once while the
server lets nobody write. Both sides count and add up every table."""
import contextlib
import functools
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import machine
import phase
from entries import Entry
from entries.session import Session, stop

STARTS = 180  # seconds for a server's first start, which makes its files
# What the tools say when the server is gone that they talked to.
ENDED = re.compile("connection to server was lost|closed the connection unexpectedly|terminating connection|in recovery mode|Lost connection|gone away")


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


class Server(Entry):
    """What MySQL and PostgreSQL have in common."""

    variable = ""  # in which the tools look for the password
    system: tuple[str, ...] = ()  # databases that are the server's own
    compares = False  # whether a shape says that a table can be carried alone
    swaps = False  # whether a copy waits beside its place, under another name

    def __init__(self, spec: dict):
        super().__init__(spec)
        self.service, self.user, self.databases = spec["service"], spec["user"], spec["databases"]
        self.holder: Session | None = None
        self.later: list[Callable[[], None]] = []  # what settle does
        self.ways: dict[str, dict] = {}  # back, for each database that settle replaces

    # What a kind has to know.

    def session(self, database: str = "") -> Session:
        raise NotImplementedError

    def version(self, session: Session) -> Version:
        raise NotImplementedError

    def sizes(self, session: Session) -> dict[str, int]:
        """Bytes of each database that the server has, ours or not."""
        raise NotImplementedError

    def used(self, database: str, size: int) -> bool:
        """Whether a database that nobody named has anything in it."""
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

    def dumper(self, database: str, tables: list[str] | None = None) -> list[str]:
        """The program that dumps a database, or some of its tables."""
        raise NotImplementedError

    def fill(self, database: str, described: dict, feed, tables: list[str] | None = None) -> None:
        """Makes the database anew of a dump, which feed(file) writes, or some of its
        tables. Whatever fails, no half of one is taken for a whole."""
        raise NotImplementedError

    def put(self, database: str, described: dict) -> None:
        """Puts what was filled in its place, where that is another one. What had the
        place stays beside it, where it may be wanted back."""

    def bring_back(self, database: str, way: dict) -> None:
        """Undoes the replacing of a database, at whatever point that is."""
        raise NotImplementedError

    def discard(self, database: str) -> None:
        """Drops what waits beside: a copy that was given up, and what put left."""

    def sums(self, database: str, tables: list[str] | None = None, copy: bool = False) -> dict:
        """{"tables": {name: [rows, sum]}} and whatever else has to be equal, of the
        database or of what was filled and has no place yet. With tables, of these alone."""
        raise NotImplementedError

    def shape(self, database: str) -> str:
        """What a database is made of, but for rows and how far numbers were given:
        an equal text, an equal database to be. Empty where that cannot be told."""
        return ""

    def forward(self, database: str, numbers: dict) -> None:
        """Has numbers that are given in order go on where the other side's would."""

    def explain(self, text: str) -> machine.Fault:
        """What a tool's complaint means."""
        raise NotImplementedError

    def keep(self, session: Session) -> bool:
        """Whether a session that is not needed any more is kept for the next question."""
        return False

    def present(self, session: Session) -> dict[str, int]:
        """Those of ours that are there, with their bytes; Absent where none is. Where
        one is not, but another that nobody named, the profile has a wrong name: to
        begin without data would lose it."""
        sizes = self.sizes(session)
        present = {database: sizes[database] for database in self.databases if database in sizes}
        missing = [database for database in self.databases if database not in sizes]
        if missing and phase.read()["phase"] != "new":
            others = [other for other in sorted(sizes.keys() - {*self.system, *self.known()}) if self.used(other, sizes[other])]
            if others:
                raise machine.Fault("entry-missing", f"{self.service} has no database {missing[0]}, but {', '.join(others[:3])}")
        if not present:
            raise Absent(f"{self.service} has no database {', '.join(self.databases)}")
        return present

    def known(self) -> set[str]:
        """What entries name of this service, and where copies of these wait."""
        names = {database for entry in machine.spec()["entries"] if entry.get("service") == self.service
                 for database in entry["databases"]}
        return names | {beside(name, what) for name in names for what in ("cattle", "before")}

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
        ended = "is not running" in text or "is restarting" in text
        if (ended or ENDED.search(text)) and self.ended_full():
            return machine.Fault("disk-full", f"{self.service} has no room left on its disk, and ended")
        if ended or "no container found" in text:
            return Down(self.service)
        return self.explain(text)

    def ended_full(self) -> bool:
        """Whether the server said a moment ago that its disk is full. One that cannot
        write down what it does ends, and its clients are told no more than that."""
        said = machine.compose("logs", "--no-color", "--since", "1m", self.service, timeout=10, check=False)
        return b"No space left on device" in said.stdout

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
        try:
            with self.session() as session:
                sizes = self.sizes(session)
        except (Absent, Down):
            return 0
        return sum(sizes.get(beside(database) if self.swaps else database, 0) for database in self.databases)

    def hold(self, deadline_s: float) -> None:
        if self.held():
            return
        if self.holder:
            self.holder.close()
            self.holder = None
        # First of all the note that there is something to undo.
        machine.store(self.note(), os.urandom(8).hex())
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
        self.unhold()

    def receive(self) -> None:
        """Has this server take a copy, and nobody else write."""
        self.unhold()

    def unhold(self) -> None:
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
                    version, databases = self.version(session), self.present(session)
                stream.send({"version": version, "databases": databases, "hold": self.holding(), **self.accounts()})
            case "dump":
                database, tables = self.own(request["database"]), request["tables"]
                stream.send(self.describe(database))
                with self.program(self.dumper(database, tables), stdout=subprocess.PIPE) as process:
                    stream.send_all(process.stdout)
                # Only now is it known that this was all of it.
                stream.send({"whole": True})
            case "look":
                stream.send({"found": self.look()})
            case "hold":
                stream.send({"hold": self.holding()})
            case _:
                super().serve(op, request, stream)

    def own(self, database: str) -> str:
        if database not in self.databases:
            raise machine.Fault("engine", "that database is not among this entry's")
        return database

    def look(self) -> dict:
        """{database: {"shape", "sums"}} of those that are there."""
        with self.session() as session:
            present = self.present(session)
        with ThreadPoolExecutor(1) as pool:
            shapes = {database: pool.submit(self.shape, database) for database in present}
            sums = {database: self.sums(database) for database in present}
            return {database: {"shape": shapes[database].result(), "sums": sums[database]} for database in present}

    def pull(self, link, final: bool, progress) -> dict:
        from entries.carry import Carry
        return Carry(self, link, final, progress).run()

    def settle(self) -> None:
        for act in self.later:
            act()
        self.later = []
        machine.remove(self.admitted())

    def way_back(self) -> dict:
        return self.ways

    def put_back(self, way: dict) -> None:
        self.ready()
        for database, of in way.items():
            self.bring_back(database, of)

    def forget(self) -> None:
        with contextlib.suppress(Absent, Down):
            for database in self.databases:
                self.discard(database)
        shutil.rmtree(self.waiting(), ignore_errors=True)

    def waiting(self) -> str:
        """The folder of what came and of what it replaces, until all is settled."""
        return os.path.join(machine.kept("stage"), self.name)

    def admitted(self) -> str:
        """A note of the accounts that the first pass made."""
        return machine.kept(f"{self.name}.accounts")

    def fits(self, theirs: list) -> None:
        """A fault where this server cannot read the other one's dump."""
        old = Version(theirs[0], tuple(theirs[1]), theirs[2])
        with self.session() as session:
            new = self.version(session)
        if old.kind != new.kind:
            raise machine.Fault("server-older", f"data of {old.text} cannot go to {new.text}: they are two kinds of server")
        if old.number > new.number:
            raise machine.Fault("server-older", f"data of {old.text} cannot go to the older {new.text}")

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
        self.receive()
        self.admit(about["accounts"]["before"])
        for database in databases:
            dumped = functools.partial(copy, self.file(folder, database))
            self.fill(database, about["databases"][database], dumped)
            self.put(database, about["databases"][database])
        self.grant(about["accounts"]["after"])

    def dumped(self, folder: str) -> list[str]:
        """The dumps in a folder."""
        about = machine.load(os.path.join(folder, "about.json")) or {"databases": {}}
        return [self.file(folder, database) for database in about["databases"]]

    def file(self, folder: str, database: str) -> str:
        """Where a dump lies. Databases may have any name, files may not."""
        return os.path.join(folder, database.encode().hex() + ".dump")

    def old(self, database: str) -> str:
        """Where a dump of what settle replaces lies."""
        return self.file(self.waiting(), database) + ".old"


def beside(database: str, what: str = "cattle") -> str:
    """The name by which a copy of a database waits until it takes its place, or
    what was there before waits until it goes."""
    return f"{database[:48]}__{what}"


def copy(file: str, target) -> None:
    with open(file, "rb") as source:
        shutil.copyfileobj(source, target, 1 << 20)
