"""PostgreSQL. What holds it is default_transaction_read_only, which outlives a
restart and tells writers at once, and a session with a SHARE lock on every table,
which waits for the last writer and lets no other begin, whatever its settings.

Roles travel with their passwords, except the one that the profile names: a role
that is there already keeps what the new release's environment gave it."""
import concurrent.futures
import contextlib
import json
import re
import subprocess

import machine
import standby
from entries.server import Absent, Server, Version, beside
from entries.session import Session

NAME = "cattle-hold"  # as which the sessions that hold are known to the server
ADMIN = "template1"  # a database that every server has, to ask for the others
END_HOLDERS = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '{NAME}'"
GRACE = 1  # seconds that a writer may take to end by itself
# What decides how a value reads has to be the same on both sides.
SETTINGS = "; ".join(("SET client_encoding = 'UTF8'", "SET client_min_messages = warning", "SET timezone = 'UTC'", "SET datestyle = 'ISO, YMD'",
                      "SET intervalstyle = 'postgres'", "SET extra_float_digits = 1", "SET bytea_output = 'hex'",
                      "SET row_security = off", "SET search_path = pg_catalog", "SET statement_timeout = 0",
                      "SET idle_in_transaction_session_timeout = 0"))


def ours(catalog: str, row: str) -> str:
    """What is neither the server's nor an extension's, which brings its own."""
    return ("n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND NOT EXISTS "
            f"(SELECT FROM pg_depend d WHERE d.classid = '{catalog}'::regclass AND d.objid = {row}.oid AND d.deptype = 'e')")


RELATIONS = f"pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {ours('pg_class', 'c')}"
LISTS = ("search_path", "temp_tablespaces", "local_preload_libraries", "session_preload_libraries")


class Postgres(Server):
    unit = "rows"
    variable = "PGPASSWORD"
    system = ("postgres", "template0", "template1")
    swaps = True

    def tool(self, program: str, database: str, *more: str, name: str = "cattle") -> list[str]:
        # An image's first server listens on its socket alone; and there
        # nobody may be asked for the password that has to be proved.
        host = ["--host=127.0.0.1"] if self.spec.get("password") else []
        return ["env", f"PGAPPNAME={name}", "PGCONNECT_TIMEOUT=10", program, *host, f"--username={self.user}",
                "--no-password", *more, f"--dbname={connection(database)}"]

    def session(self, database: str = "", name: str = "cattle") -> Session:
        return self.settled(Session(self, self.tool("psql", database or ADMIN, "--no-psqlrc", "--quiet", "--no-align",
                                                    "--tuples-only", "--set=ON_ERROR_STOP=1", name=name)))

    def settled(self, session: Session) -> Session:
        try:
            session.lines(SETTINGS)
        except BaseException:
            session.close()
            raise
        return session

    def version(self, session: Session) -> Version:
        number = int(session.lines("SHOW server_version_num")[0])
        return Version("postgres", (number // 10000,), f"postgres {number // 10000}.{number % 10000}")

    def sizes(self, session: Session) -> dict[str, int]:
        return dict(session.rows("SELECT json_build_array(datname, pg_database_size(oid)) FROM pg_database"))

    def used(self, database: str, size: int) -> bool:
        with self.session(database) as session:
            return session.rows(f"SELECT count(*) FROM {RELATIONS}") != [0]

    def ours(self) -> list[str]:
        with self.session() as session:
            return list(self.present(session))

    def answers(self) -> bool:
        with self.session() as session:
            return session.lines("SHOW listen_addresses") != [""]

    def seize(self, deadline_s: float) -> None:
        with self.session() as session:
            session.lines(f"{END_HOLDERS}; ALTER SYSTEM SET default_transaction_read_only = on; SELECT pg_reload_conf()")
        self.holder = Holders()
        for database in self.ours():
            session = self.session(database, NAME)
            self.holder.sessions.append(session)
            tables = session.rows(f"SELECT to_json(format('%I.%I', n.nspname, c.relname)) FROM {RELATIONS} "
                                  "AND c.relkind IN ('r', 'p') AND c.relpersistence <> 't' ORDER BY c.oid")
            # Not that of large objects: whoever reads one locks it as a writer
            # does. They are left to the setting, and to the sums.
            self.lock(session, tables, deadline_s)

    def lock(self, session: Session, tables: list[str], deadline_s: float) -> None:
        locks = f"; LOCK TABLE {', '.join(tables)} IN SHARE MODE" if tables else ""
        mine = session.rows("SELECT pg_backend_pid()")[0]
        # Of two that wait for each other, the writer is the one to give up.
        lock = f"SET deadlock_timeout = '10min'; BEGIN READ WRITE{locks}"
        blocking = (f"FROM pg_stat_activity WHERE pid = ANY(pg_blocking_pids({mine})) "
                    "AND (backend_type = 'autovacuum worker' OR xact_start < clock_timestamp() - interval '%d s')" % GRACE)
        with concurrent.futures.ThreadPoolExecutor(1) as beside, self.session() as other:
            asked = beside.submit(session.lines, lock, deadline_s)
            while not concurrent.futures.wait([asked], 0.2).done:
                other.lines(f"SELECT pg_terminate_backend(pid) {blocking}")
            asked.result()

    def seized(self) -> str:
        with self.session() as session:
            expected = len(self.present(session))
            holders = session.rows("SELECT json_build_array(a.pid, a.backend_start) FROM pg_stat_activity a "
                                   f"WHERE a.application_name = '{NAME}' AND a.state = 'idle in transaction' ORDER BY a.pid")
            readonly = session.lines("SHOW default_transaction_read_only")
        return json.dumps(holders) if len(holders) == expected and readonly == ["on"] else ""

    def let_go(self) -> None:
        self.ready()  # the setting is on its disk, and would be there after its next start
        with self.session() as session:
            session.lines(f"{END_HOLDERS}; ALTER SYSTEM RESET default_transaction_read_only; SELECT pg_reload_conf()")

    def accounts(self) -> dict:
        """pg_dumpall's own account of the roles, taken apart: what makes a role is
        done where it is not there yet, memberships are given in any case."""
        with self.program(self.dumpall(), stdout=subprocess.PIPE) as process:
            text = process.stdout.read().decode()
        roles: dict[str, list[str]] = {}
        after = []
        for line in text.splitlines():
            found = re.match(r'(CREATE|ALTER) ROLE ("(?:[^"]|"")+"|[^ ;"]+)', line)
            if found and found[2] != identifier(self.user) and found[2] != self.user:
                roles.setdefault(found[2], []).append(line)
            elif line.startswith("GRANT "):
                after.append(line)
        before = "".join(
            f"SELECT count(*) = 0 AS absent FROM pg_roles WHERE rolname = {literal(plain(role))} \\gset\n\\if :absent\n"
            + "\n".join(lines) + "\n\\endif\n" for role, lines in roles.items())
        return {"before": before, "after": "".join(line + "\n" for line in after)}

    def dumpall(self) -> list[str]:
        return self.tool("pg_dumpall", ADMIN, "--roles-only", "--no-comments")

    def admit(self, sql: str) -> None:
        self.script(sql, "--set=ON_ERROR_STOP=1")

    def grant(self, sql: str) -> None:
        self.script(sql)

    def script(self, sql: str, *more: str) -> None:
        with self.program(self.tool("psql", ADMIN, "--no-psqlrc", "--quiet", *more), stdin=subprocess.PIPE) as process:
            process.stdin.write(sql.encode())

    def describe(self, database: str) -> dict:
        here = f"FROM pg_database d WHERE datname = {literal(database)}"
        with self.session() as session:
            return {"database": session.rows(f"SELECT to_jsonb(d) || jsonb_build_object('owner', pg_get_userbyid(datdba), "
                                             f"'encoding', pg_encoding_to_char(encoding)) {here}")[0],
                    "rights": session.rows("SELECT json_build_array(a.privilege_type, CASE WHEN a.grantee <> 0 THEN pg_get_userbyid(a.grantee) END, "
                                           f"a.is_grantable) FROM pg_database d, aclexplode(d.datacl) a WHERE datname = {literal(database)}"),
                    "settings": session.rows("SELECT json_build_array(CASE WHEN setrole <> 0 THEN pg_get_userbyid(setrole) END, s) "
                                             "FROM pg_db_role_setting r JOIN pg_database d ON d.oid = r.setdatabase, unnest(setconfig) s "
                                             f"WHERE datname = {literal(database)}")}

    def dumper(self, database: str, tables: list[str] | None = None) -> list[str]:
        return self.tool("pg_dump", database, "--format=custom", "--compress=0", "--no-tablespaces")

    def fill(self, database: str, described: dict, feed, tables: list[str] | None = None) -> None:
        """Into a database beside it, which put gives its name."""
        name = beside(database)
        self.drop(name)
        try:
            with self.session() as session:
                session.lines(made(name, described["database"]))
            restore = self.tool("pg_restore", name, "--exit-on-error", "--single-transaction", "--no-tablespaces")
            options = "PGOPTIONS=-c synchronous_commit=off -c maintenance_work_mem=256MB"
            with self.program(["env", options, *restore], stdin=subprocess.PIPE) as process:
                feed(process.stdin)
        except BaseException:
            with contextlib.suppress(machine.Fault):
                self.drop(name)
            raise

    def way_back(self) -> dict:
        with self.session() as session:
            there = self.sizes(session)
        for database in self.ways:
            self.drop(beside(database, "before"))  # of an earlier copy: from here on it is the way back
            self.ways[database] = {"there": database in there}
        return self.ways

    def bring_back(self, database: str, way: dict) -> None:
        before = beside(database, "before")
        with self.session() as session:
            replaced = before in self.sizes(session)
        if replaced or not way["there"]:
            self.drop(database)
        if replaced:
            with self.session() as session:
                session.lines(f"ALTER DATABASE {identifier(before)} RENAME TO {identifier(database)}")

    def discard(self, database: str) -> None:
        for what in ("cattle", "before"):
            self.drop(beside(database, what))

    def put(self, database: str, described: dict) -> None:
        before = beside(database, "before")
        self.drop(before)
        with self.session() as session:
            session.lines(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = {literal(database)}")
            there = session.rows(f"SELECT count(*) FROM pg_database WHERE datname = {literal(database)}") != [0]
            session.lines(";".join(furnished(beside(database), described)) or "SELECT")
            renamed = [(database, before)] if there else []
            session.lines("; ".join(["BEGIN", *(f"ALTER DATABASE {identifier(old)} RENAME TO {identifier(new)}"
                                                for old, new in [*renamed, (beside(database), database)]), "COMMIT"]))
        if not standby.pending():
            self.drop(before)

    def drop(self, database: str) -> None:
        with self.session() as session:
            session.lines(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = {literal(database)}")
            session.lines(f"DROP DATABASE IF EXISTS {identifier(database)}")

    def sums(self, database: str, tables: list[str] | None = None, copy: bool = False) -> dict:
        with self.session(beside(database) if copy else database) as session:
            tables = session.rows(
                "SELECT json_build_array(format('%I.%I', n.nspname, c.relname), (SELECT json_agg(format('%I', attname) ORDER BY attname) "
                "FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped)) "
                f"FROM {RELATIONS} AND c.relkind = 'r' AND c.relpersistence <> 't' ORDER BY c.oid")
            tables.append(["pg_catalog.pg_largeobject", ["loid", "pageno", "data"]])
            # Columns by their names: a table that inherits may have them in another order.
            counted = {table: session.rows(
                f"SELECT json_build_array(count(*), coalesce(sum(hashtextextended(ROW({', '.join(columns or [])})::text, 0)), 0)::text) "
                f"FROM ONLY {table}", 3600)[0] for table, columns in tables}
            following = dict(session.rows("SELECT json_build_array(format('%I.%I', schemaname, sequencename), coalesce(last_value, 0)) FROM pg_sequences"))
            kinds = dict(session.rows(f"SELECT json_build_array(c.relkind, count(*)) FROM {RELATIONS} AND c.relpersistence <> 't' "
                                      "AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indexrelid = c.oid AND NOT i.indisvalid) GROUP BY c.relkind"))
            things = dict(session.rows("SELECT json_build_array('routines', count(*)) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace "
                                       f"WHERE {ours('pg_proc', 'p')} UNION ALL "
                                       f"SELECT json_build_array('triggers', count(*)) FROM pg_trigger t, {RELATIONS} AND c.oid = t.tgrelid AND NOT tgisinternal UNION ALL "
                                       f"SELECT json_build_array('constraints', count(*)) FROM pg_constraint k, {RELATIONS} AND c.oid = k.conrelid AND contype IN ('c', 'f', 'p', 'u', 'x')"))
        if counted["pg_catalog.pg_largeobject"][0] == 0:
            del counted["pg_catalog.pg_largeobject"]
        return {"tables": counted, "next": following, "number of": things, "relations of kind": kinds}

    def check(self) -> None:
        """A dump has no statistics, without which the app's questions take long."""
        for database in self.ours():
            with self.session(database) as session:
                session.lines("ANALYZE", 3600)

    def whole(self, folder: str) -> None:
        for file in self.dumped(folder):
            with open(file, "rb") as source, self.program(["pg_restore", "--file=/dev/null"], stdin=source):
                pass

    def explain(self, text: str) -> machine.Fault:
        if "password authentication failed" in text or "no password supplied" in text:
            return machine.Fault("wrong-password", f"{self.service} does not take {self.user}'s password")
        if re.search(r'FATAL: +database ".*" does not exist', text):
            return Absent(f"{self.service} has no such database")
        # CONTEXT and DETAIL may quote a row, a statement the hash of a password.
        found = re.search(r"(?:ERROR|FATAL|error): +(.*)", text)
        return machine.Fault("engine", f"{self.service}: {found[1][:300] if found else machine.last_line(text.encode())}")

    def counter(self) -> int:
        count = 0
        for database in self.ours():
            with self.session(database) as session:
                count += session.rows("SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0) FROM pg_stat_user_tables")[0]
        return count

    def since(self, mark: int) -> int:
        """A crash makes the server forget its counts: what it forgot is one write at least."""
        now = self.counter()
        return now - mark if now >= mark else now + 1


class Holders:
    """The sessions that hold, one in each database."""

    def __init__(self):
        self.sessions: list[Session] = []

    def alive(self) -> bool:
        return all(session.alive() for session in self.sessions)

    def close(self) -> None:
        for session in self.sessions:
            session.close()


def made(name: str, like: dict) -> str:
    """The statement that makes an empty database; what a version has no word for is left out."""
    words = [f"CREATE DATABASE {identifier(name)} TEMPLATE template0 OWNER {identifier(like['owner'])} ENCODING {literal(like['encoding'])}",
             f"LC_COLLATE {literal(like['datcollate'])} LC_CTYPE {literal(like['datctype'])}",
             f"CONNECTION LIMIT {int(like['datconnlimit'])}"]
    locale = like.get("datlocale") or like.get("daticulocale")
    if like.get("datlocprovider") == "i":
        words.append(f"LOCALE_PROVIDER icu ICU_LOCALE {literal(locale)}")
    if like.get("datlocprovider") == "b":
        words.append(f"LOCALE_PROVIDER builtin BUILTIN_LOCALE {literal(locale)}")
    return " ".join(words)


def furnished(database: str, described: dict) -> list[str]:
    """Statements for what belongs to a database and is in no dump of it."""
    name = identifier(database)
    statements = [f"REVOKE ALL ON DATABASE {name} FROM PUBLIC"] if described["rights"] else []
    for right, grantee, grantable in described["rights"]:
        if not re.fullmatch("[A-Z]+", right):
            continue
        statements.append(f"GRANT {right} ON DATABASE {name} TO {identifier(grantee) if grantee else 'PUBLIC'}"
                          + (" WITH GRANT OPTION" if grantable and grantee else ""))
    for role, setting in described["settings"]:
        key, _, value = setting.partition("=")
        whose = f"ROLE {identifier(role)} IN DATABASE {name}" if role else f"DATABASE {name}"
        # Lists are kept as they were written, with their own quotes.
        statements.append(f"ALTER {whose} SET {'.'.join(map(identifier, key.split('.')))} TO {value if key in LISTS else literal(value)}")
    return statements


def connection(database: str) -> str:
    """A name that libpq does not take for a connection string."""
    return "dbname='" + database.replace("\\", "\\\\").replace("'", "\\'") + "'"


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def plain(name: str) -> str:
    """A name without the quotes that it had in a statement."""
    return name[1:-1].replace('""', '"') if name.startswith('"') else name
