"""A pass of a copy of a server's databases, on the new droplet.

A table that is here and equal stays, one that differs is carried whole: so the
pass that writers wait for looks at everything and moves little. Where a database is
made differently, or its kind cannot tell, all of it is carried.

What a standby has as its own it keeps until all is settled: it may yet be needed as
it was left. What comes for it waits in files, or in a database beside."""
import contextlib
import functools
import hashlib
import json
import os
import shutil
import subprocess
import time
from concurrent.futures import Future, ThreadPoolExecutor

import machine
import standby
from entries.server import Absent, Server, copy


class Carry:
    def __init__(self, server: Server, link, final: bool, progress):
        self.server, self.link, self.final, self.progress = server, link, final, progress
        self.moved = self.size = 0
        self.keeps = standby.pending()
        shutil.rmtree(server.waiting(), ignore_errors=True)  # of a pass that failed

    def run(self) -> dict:
        begun = time.monotonic()
        with ThreadPoolExecutor(3) as self.pool:
            there, asked = self.look_there(), self.pool.submit(self.asks, "begin")
            self.server.ready()
            theirs = asked.result()
            self.meet(theirs)
            if self.keeps and not self.final:
                return self.rehearse(theirs["databases"], there)
            self.server.receive()
            with self.admitted(theirs):
                found = self.sync(theirs["databases"], there)
            if not self.final and self.moved and self.server.compares:
                # Once more: that is how long the pass that counts will take.
                begun = time.monotonic()
                found = self.sync(theirs["databases"], self.look_there())
            if self.final:
                self.prove(there, found, theirs["hold"])
        return {"bytes": self.moved, "estimate_ms": machine.took_ms(begun), "equal": self.final,
                "digest": hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest(),
                "rows": {table: rows for sums in found.values() for table, (rows, _) in sums["tables"].items()}}

    def asks(self, op: str, **request) -> dict:
        with self.link.open(self.server.name, op, **request) as stream:
            return stream.receive()[0]

    def look_there(self) -> Future | None:
        """Has the source add up what it has, where that is wanted."""
        return self.pool.submit(self.asks, "look") if self.final or self.server.compares else None

    def meet(self, theirs: dict) -> None:
        self.server.fits(theirs["version"])
        if self.final and not theirs["hold"]:
            raise machine.Fault("not-frozen", f"{self.server.service} still lets others write", side="old")
        self.size = sum(theirs["databases"].values())

    @contextlib.contextmanager
    def admitted(self, theirs: dict):
        """Accounts are made before what they own, and get their rights after it. What
        the first pass did the second one need not do again."""
        accounts = [theirs["before"], theirs["after"]]
        digest = hashlib.sha256(json.dumps(accounts).encode()).hexdigest()
        known = machine.load(self.server.admitted()) == digest
        if not known:
            self.server.admit(accounts[0])
        yield
        if not known:
            grant = functools.partial(self.server.grant, accounts[1])
            self.server.later.append(grant) if self.keeps else grant()
        if not self.keeps:
            machine.store(self.server.admitted(), digest)

    def sync(self, databases: dict, there: Future | None) -> dict:
        """Makes what is here as it is there; returns the sums of that."""
        mine = self.look_here() if self.server.compares else {}
        theirs = there.result()["found"] if self.server.compares else {}
        return {database: self.carry(database, theirs.get(database), mine.get(database)) for database in databases}

    def look_here(self) -> dict:
        try:
            return self.server.look()
        except Absent:
            return {}

    def carry(self, database: str, theirs: dict | None, mine: dict | None) -> dict:
        tables = differing(theirs, mine)
        load = functools.partial(self.load, database, tables, theirs, mine)
        if not self.keeps or self.server.swaps:
            with contextlib.ExitStack() as stack:
                described, feed = self.fetch(stack, database, tables)
                return load(described, feed)
        os.makedirs(self.server.waiting(), mode=0o700, exist_ok=True)
        kept = self.pool.submit(self.put_by, database, tables) if mine and tables != [] else None
        new = self.server.file(self.server.waiting(), database)
        with contextlib.ExitStack() as stack, open(new, "wb") as file:
            described, feed = self.fetch(stack, database, tables)
            feed(file)
        if tables != []:
            self.server.ways[database] = {"tables": tables, "described": kept and kept.result()}
        self.server.later.append(functools.partial(self.replace, load, described, new))
        return theirs["sums"]

    def fetch(self, stack: contextlib.ExitStack, database: str, tables: list[str] | None) -> tuple:
        """What a database is, and what writes a dump of the tables to a file."""
        if tables == []:
            return {}, lambda file: None
        before = self.moved

        def feed(file) -> None:
            def progress(total: int) -> None:
                self.moved = before + total
                self.progress(self.moved, max(self.size, self.moved))
            stream.receive_all(file, progress)
            stream.receive()

        stream = stack.enter_context(self.link.open(self.server.name, "dump", database=database, tables=tables))
        return stream.receive()[0], feed

    def load(self, database: str, tables: list[str] | None, theirs: dict | None, mine: dict | None, described: dict, feed) -> dict:
        server = self.server
        if tables != []:
            server.fill(database, described, feed, tables)
        if server.swaps:
            server.ways[database] = {}
            server.later.append(functools.partial(server.put, database, described))
        if theirs:
            server.forward(database, theirs["sums"])
        known = mine["sums"]["tables"] if tables is not None else {}
        found = server.sums(database, tables, copy=True)
        return {**found, "tables": {**known, **found["tables"]}}

    def put_by(self, database: str, tables: list[str] | None) -> dict:
        """Keeps what is about to be replaced, should that fail."""
        with open(self.server.old(database), "wb") as target:
            with self.server.program(self.server.dumper(database, tables), stdout=target):
                pass
            os.fsync(target.fileno())
        return self.server.describe(database)

    def replace(self, load, described: dict, new: str) -> None:
        """Puts what came in the place of what the droplet had."""
        database, _, theirs, _ = load.args
        equal(database, theirs["sums"], load(described, functools.partial(copy, new)))

    def prove(self, there: Future, found: dict, hold: str) -> None:
        """Both sides have the same, and the other one let nobody write meanwhile."""
        for database, theirs in there.result()["found"].items():
            equal(database, theirs["sums"], found[database])
        if self.asks("hold")["hold"] != hold:
            raise machine.Fault("not-frozen", f"{self.server.service} let others write for a moment", side="old")

    def rehearse(self, databases: dict, there: Future | None) -> dict:
        """How long the copy that counts will take, on a standby, which is held: what
        differs has to come, and putting that in place takes about twice as long."""
        begun = time.monotonic()
        mine = self.look_here() if self.server.compares else {}
        theirs = there.result()["found"] if there else {}
        compared = machine.took_ms(begun)
        begun = time.monotonic()
        for database in databases:
            with contextlib.ExitStack() as stack, open(os.devnull, "wb") as nowhere:
                _, feed = self.fetch(stack, database, differing(theirs.get(database), mine.get(database)))
                feed(nowhere)
        return {"bytes": self.moved, "estimate_ms": compared + 3 * machine.took_ms(begun), "digest": "", "equal": False}


def differing(theirs: dict | None, mine: dict | None) -> list[str] | None:
    """The tables that have to be carried; None where that is all of the database."""
    if not theirs or not mine or not mine["shape"] or theirs["shape"] != mine["shape"]:
        return None
    theirs, mine = theirs["sums"], mine["sums"]
    return [table for table, sum in theirs["tables"].items()
            if sum != mine["tables"].get(table) or theirs["next"].get(table, 0) > mine["next"].get(table, 0)]


def equal(database: str, wanted: dict, found: dict) -> None:
    """A fault that names the first difference."""
    for what, things in wanted.items():
        for name in sorted(things.keys() | found[what].keys()):
            have = found[what].get(name)
            # The next number may be further than it was: no number is given twice.
            if things.get(name) != have and not (what == "next" and have and have >= things.get(name, 0)):
                raise machine.Fault("not-equal", f"of {database}, {what} {name} arrived different from what was sent")
