"""MySQL and MariaDB. What holds them is FLUSH TABLES WITH READ LOCK of a session
that stays: everybody reads on, whoever writes waits.

Accounts travel, except the one that the profile names and those that the image
makes by itself: an account that is there already keeps the password that the new
release's environment gave it."""
import concurrent.futures
import contextlib
import functools
import hashlib
import os
import re
import subprocess

import machine
from entries.server import Absent, Server, Version, copy
from entries.session import Session

LOCK = "cattle-hold"  # a lock by that name says whose session holds the server
GRACE = 1  # seconds that a statement may take to end by itself
SETTINGS = "SET SESSION sql_mode='NO_BACKSLASH_ESCAPES', time_zone='+00:00', wait_timeout=31536000"
FRESH = "/*!80000 SET SESSION information_schema_stats_expiry=0 */"
TOO_LONG = 10 ** 40  # more than 2^64 times the rows of any table
MADE_BY_IMAGES = ("", "root", "mysql", "healthcheck", "PUBLIC", "debian-sys-maint")
LONG = ("mediumblob", "longblob", "mediumtext", "longtext", "json")
SHAPES = ("geometry", "point", "linestring", "polygon", "multipoint", "multilinestring",
          "multipolygon", "geometrycollection", "geomcollection")
# Images of MariaDB have the programs by other names than MySQL's.
CLIENT = ("sh", "-c", 'program=mariadb; command -v mariadb >/dev/null || program=mysql; exec $program "$@"', "sh")
DUMPER = ("sh", "-c", """if command -v mariadb >/dev/null; then exec mariadb-dump "$@"; fi
exec mysqldump --set-gtid-purged=OFF "$@\"""", "sh")
# What a dump without rows says of how far numbers were given.
NUMBERS = re.compile(r"(?<=^\) ENGINE=)(\w+) AUTO_INCREMENT=\d+|^(?:DO|SELECT) SETVAL\(.*\);$", re.MULTILINE)
WRITES = ("insert", "insert_select", "replace", "replace_select", "update", "update_multi", "delete",
          "delete_multi", "load", "truncate", "create_table", "alter_table", "drop_table", "rename_table")


class MySQL(Server):
    unit = "statements"
    variable = "MYSQL_PWD"
    system = ("information_schema", "performance_schema", "mysql", "sys")
    compares = True

    def __init__(self, spec: dict):
        super().__init__(spec)
        self.idle: list[Session] = []

    def client(self, *more: str) -> list[str]:
        return [*CLIENT, "--batch", "--raw", "--skip-column-names", "--unbuffered", "--no-auto-rehash",
                "--default-character-set=utf8mb4", f"--user={self.user}", *more]

    def keep(self, session: Session) -> bool:
        self.idle.append(session)
        return True

    def session(self) -> Session:
        """One that nobody uses any more, or another: what begins in a container takes its time."""
        while self.idle:
            session = self.idle.pop()
            if session.alive():
                return session
            session.close()
        session = Session(self, self.client())
        try:
            session.lines(f"{SETTINGS};{FRESH}")
        except BaseException:
            session.close()
            raise
        return session

    def version(self, session: Session) -> Version:
        text = session.lines("SELECT VERSION()")[0]
        kind = "mariadb" if "mariadb" in text.lower() else "mysql"
        found = re.match(r"(?:5\.5\.5-)?(\d+)\.(\d+)(?:\.\d+)?", text)
        if not found:
            raise machine.Fault("engine", f"{self.service} says that its version is {text[:40]}")
        return Version(kind, (int(found[1]), int(found[2])), f"{kind} {found[0].removeprefix('5.5.5-')}")

    def sizes(self, session: Session) -> dict[str, int]:
        return dict(session.rows(
            "SELECT JSON_ARRAY(schema_name, (SELECT CAST(COALESCE(SUM(data_length + index_length), 0) AS UNSIGNED) "
            "FROM information_schema.tables WHERE table_schema = schema_name)) FROM information_schema.schemata"))

    def used(self, database: str, size: int) -> bool:
        return size > 0

    def answers(self) -> bool:
        """An image's first server listens on a socket alone, and asks for no password yet."""
        try:
            with self.session() as session:
                return session.lines("SELECT @@skip_networking") == ["0"]
        except machine.Fault as fault:
            if fault.code == "wrong-password" and not self.listens():
                return False
            raise

    def listens(self) -> bool:
        with contextlib.suppress(Unheard):
            try:
                with self.program(self.client("--protocol=tcp", "--host=127.0.0.1", "--execute=SELECT 1")):
                    pass
            except Unheard:
                return False
            except machine.Fault:
                pass
        return True

    def seize(self, deadline_s: float) -> None:
        self.let_go()
        self.holder = holder = self.session()
        mine = holder.rows("SELECT CONNECTION_ID()")[0]
        with concurrent.futures.ThreadPoolExecutor(1) as beside:
            asked = beside.submit(holder.lines, f"FLUSH TABLES WITH READ LOCK; DO GET_LOCK('{LOCK}', 0)", deadline_s)
            while not concurrent.futures.wait([asked], GRACE).done:
                self.end_others(mine)
            asked.result()

    def end_others(self, mine: int) -> None:
        """Ends the sessions that the lock may be waiting for: a statement that takes
        long, or LOCK TABLES of somebody. What they did not commit is undone."""
        with self.session() as session:
            others = session.rows("SELECT id FROM information_schema.processlist WHERE id NOT IN "
                                  f"({mine}, CONNECTION_ID()) AND command IN ('Query', 'Execute', 'Sleep') "
                                  "AND user NOT IN ('system user', 'event_scheduler')")
        self.attempt("".join(f"KILL CONNECTION {other};\n" for other in others))
        while self.idle:
            self.idle.pop().close()

    def seized(self) -> str:
        with self.session() as session:
            holder = session.lines(f"SELECT IS_USED_LOCK('{LOCK}')")[0]
        return "" if holder == "NULL" else holder

    def let_go(self) -> None:
        with contextlib.suppress(machine.Fault):  # a server that does not answer holds nothing
            holder = self.seized()
            if holder:
                self.attempt(f"KILL CONNECTION {holder};\n")

    def receive(self) -> None:
        super().receive()
        self.stop_events()

    def release(self) -> None:
        super().release()
        if machine.remove(self.events()):
            self.attempt("SET GLOBAL event_scheduler=ON;\n")

    def events(self) -> str:
        """A note that the server has events, which wait until others may write too."""
        return machine.kept(f"{self.name}.events")

    def stop_events(self) -> None:
        with self.session() as session:
            running = session.lines("SELECT @@event_scheduler") == ["ON"]
        if running:
            machine.store(self.events(), True)
            with contextlib.suppress(machine.Fault), self.session() as session:
                session.lines("SET GLOBAL event_scheduler=OFF")

    def accounts(self) -> dict:
        before, after = [], []
        with self.session() as session:
            # Only MariaDB keeps roles apart; to MySQL they are accounts.
            kinds = session.lines("SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = 'mysql' "
                                  "AND table_name = 'user' AND column_name = 'is_role'")
            marked = "is_role = 'Y'" if kinds == ["1"] else "FALSE"
            session.lines("/*!80017 SET SESSION print_identified_with_as_hex=ON */")
            for user, host, is_role in session.rows(f"SELECT JSON_ARRAY(user, host, {marked}) FROM mysql.user ORDER BY 1"):
                if user in (*MADE_BY_IMAGES, self.user) or user.startswith(("mysql.", "mariadb.")):
                    continue
                name = quoted(user) + ("" if is_role else "@" + quoted(host))
                role = None
                if is_role:
                    before.append(f"CREATE ROLE IF NOT EXISTS {name}")
                else:
                    made = session.lines(f"SHOW CREATE USER {name}")[0]
                    role = re.search(" DEFAULT ROLE (.*?)(?= REQUIRE )", made)
                    before.append(re.sub("^CREATE USER ", "CREATE USER IF NOT EXISTS ", made.replace(role[0], "") if role else made))
                after += [without_password(grant) for grant in session.lines(f"SHOW GRANTS FOR {name}")]
                after += [f"SET DEFAULT ROLE {role[1]} TO {name}"] if role else []
        return {"before": "".join(line + ";\n" for line in before), "after": "".join(line + ";\n" for line in after)}

    def admit(self, sql: str) -> None:
        with self.program(self.client(), stdin=subprocess.PIPE) as process:
            process.stdin.write(sql.encode())

    def grant(self, sql: str) -> None:
        """A grant may name a table that is not there any more: the next ones are made all the same."""
        self.attempt(sql)

    def attempt(self, sql: str) -> None:
        """Runs each statement, whatever became of those before."""
        with contextlib.suppress(machine.Fault), self.program(self.client("--force"), stdin=subprocess.PIPE) as process:
            process.stdin.write(sql.encode())

    def describe(self, database: str) -> dict:
        with self.session() as session:
            return {"options": session.lines(
                "SELECT CONCAT('CHARACTER SET ', default_character_set_name, ' COLLATE ', default_collation_name) "
                f"FROM information_schema.schemata WHERE schema_name = {quoted(database)}")[0]}

    def dumper(self, database: str, tables: list[str] | None = None) -> list[str]:
        return [*DUMPER, f"--user={self.user}", "--single-transaction", "--triggers", "--hex-blob",
                "--no-autocommit", "--skip-add-locks", "--no-tablespaces", "--default-character-set=utf8mb4",
                "--max-allowed-packet=1G", *(["--routines", "--events"] if tables is None else []), "--", database, *(tables or [])]

    def fill(self, database: str, described: dict, feed, tables: list[str] | None = None) -> None:
        if not re.fullmatch(r"CHARACTER SET \w+ COLLATE \w+", described["options"]):
            raise machine.Fault("engine", "the description of the database is none")
        name, client = named(database), self.client("--binary-mode", "--max-allowed-packet=1G")
        anew = f"DROP DATABASE IF EXISTS {name};\nCREATE DATABASE {name} {described['options']};\n" if tables is None else ""
        try:
            with self.program(client, stdin=subprocess.PIPE) as process:
                process.stdin.write(f"{anew}USE {name};\n".encode())
                feed(Dump(process.stdin))
        except BaseException:
            # Half of a table is found when it is looked at; half of a database has to go.
            if tables is None:
                with contextlib.suppress(machine.Fault), self.session() as session:
                    session.lines(f"DROP DATABASE IF EXISTS {name}")
            raise

    def bring_back(self, database: str, way: dict) -> None:
        self.end_others(0)  # a client may still be at what it was sent
        if way["described"]:
            self.fill(database, way["described"], functools.partial(copy, self.old(database)), way["tables"])
            return
        with self.session() as session:
            session.lines(f"DROP DATABASE IF EXISTS {named(database)}")

    def shape(self, database: str) -> str:
        dump = self.dumper(database)
        with self.program([*dump[:4], "--no-data", "--skip-comments", *dump[4:]], stdout=subprocess.PIPE) as process:
            text = process.stdout.read().decode(errors="surrogateescape")
        text = self.describe(database)["options"] + NUMBERS.sub(r"\1", text)
        return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()

    def forward(self, database: str, numbers: dict) -> None:
        with self.session() as session:
            for sequence, number in numbers["sequences"].items():
                session.lines(f"DO SETVAL({named(database)}.{named(sequence)}, {int(number)}, 0)")

    def whole(self, folder: str) -> None:
        for file in self.dumped(folder):
            with open(file, "rb") as source:
                source.seek(max(0, os.path.getsize(source.name) - 200))
                if b"-- Dump completed" not in source.read():
                    raise machine.Fault("not-equal", f"a dump of {self.name} is not whole")

    def sums(self, database: str, tables: list[str] | None = None, copy: bool = False) -> dict:
        here = f"= {quoted(database)}"
        with self.session() as session:
            columns: dict[str, list[str]] = {}
            for table, column, kind in session.rows(
                    "SELECT JSON_ARRAY(c.table_name, c.column_name, c.data_type) FROM information_schema.columns c "
                    "JOIN information_schema.tables t USING (table_schema, table_name) WHERE t.table_type IN ('BASE TABLE', 'SYSTEM VERSIONED') "
                    f"AND c.table_schema {here} AND COALESCE(c.generation_expression, '') NOT IN ('ROW START', 'ROW END') "
                    "ORDER BY c.table_name, c.ordinal_position"):
                if tables is None or table in tables:
                    columns.setdefault(table, []).append(hashable(named(column), kind))
            counted = {table: self.sum(session, f"{named(database)}.{named(table)}", of) for table, of in columns.items()}
            following = dict(session.rows(f"SELECT JSON_ARRAY(table_name, auto_increment) FROM information_schema.tables "
                                          f"WHERE table_schema {here} AND auto_increment IS NOT NULL"))
            sequences = session.rows(f"SELECT JSON_QUOTE(table_name) FROM information_schema.tables WHERE table_schema {here} AND table_type = 'SEQUENCE'")
            given = {name: session.rows(f"SELECT next_not_cached_value FROM {named(database)}.{named(name)}")[0] for name in sequences}
            things = {kind: session.rows(f"SELECT COUNT(*) FROM information_schema.{kind} WHERE {of}_schema {here}")[0]
                      for kind, of in (("views", "table"), ("routines", "routine"), ("triggers", "trigger"), ("events", "event"))}
        return {"tables": counted, "next": following, "sequences": given, "number of": things}

    def sum(self, session: Session, table: str, columns: list[str]) -> list:
        """Of a row that is too long to be compared the sum is NULL: what stands for it
        is more than all the others together. So a row is worked out once."""
        row = f"CAST(CONV(LEFT(MD5(CONCAT({', '.join(columns)})), 16), 16, 10) AS UNSIGNED)"
        rows, total = session.rows(f"SELECT JSON_ARRAY(COUNT(*), CAST(COALESCE(SUM(IFNULL({row}, {TOO_LONG})), 0) AS CHAR)) FROM {table}", 3600)[0]
        if int(total) >= TOO_LONG:
            raise machine.Fault("not-equal", f"table {table} has rows that are too long to be compared")
        return [rows, total]

    def explain(self, text: str) -> machine.Fault:
        found = re.search(r"(?:ERROR|error:) (\d+)|Got error: (\d+)", text)
        number = next(filter(None, found.groups()), "") if found else ""
        if number in ("1045", "1698"):
            return machine.Fault("wrong-password", f"{self.service} does not take {self.user}'s password")
        if number == "1049":
            return Absent(f"{self.service} has no such database")
        if number in ("1021", "1114"):
            return machine.Fault("disk-full", f"{self.service} has no room left on its disk")
        if number in ("2002", "2003"):
            return Unheard("engine", f"{self.service} does not listen")
        # Its words may quote a statement, and so a row or the hash of a password.
        return machine.Fault("engine", f"{self.service}: " + (f"error {number} of its server" if number else machine.last_line(text.encode())))

    def counter(self) -> int:
        return self.mark()["count"]

    def mark(self) -> dict:
        names = ", ".join(f"'Com_{name}'" for name in WRITES)
        with self.session() as session:
            status = dict(line.split("\t") for line in session.lines(f"SHOW GLOBAL STATUS WHERE Variable_name IN ({names}, 'Uptime')"))
            now = session.rows("SELECT UNIX_TIMESTAMP()")[0]
        return {"since": now - int(status.pop("Uptime")), "count": sum(map(int, status.values()))}

    def since(self, mark: dict) -> int:
        """A server that was started again counts anew; what it had counted last is not
        known, and taken for one write at least."""
        now = self.mark()
        if abs(now["since"] - mark["since"]) <= 2:
            return max(0, now["count"] - mark["count"])
        return now["count"] + 1


class Unheard(machine.Fault):
    """Nobody listens where the client knocked."""


class Dump:
    """A client's stdin, for a dump: newer dumpers begin with a command that older clients do not know."""

    def __init__(self, file):
        self.file, self.first = file, True

    def write(self, piece: bytes) -> None:
        if self.first and re.match(rb"/\*M?!999999\\-[^\n]*\n", piece):
            piece = piece.partition(b"\n")[2]
        self.first = False
        self.file.write(piece)


def hashable(column: str, kind: str) -> str:
    """An expression that differs where a column's value does, and is never NULL."""
    if kind in SHAPES:
        return f"IFNULL(MD5(ST_AsBinary({column})), '-')"
    if kind in LONG:
        return f"IFNULL(MD5({column}), '-')"
    return f"IFNULL(CONCAT(LENGTH({column}), ':', CAST({column} AS BINARY)), '-')"


def without_password(grant: str) -> str:
    return re.sub(r" IDENTIFIED (BY PASSWORD|VIA|WITH) .*?(?= REQUIRE | WITH [GM]|$)", "", grant)


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def named(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"
