"""Holding writes, for a time: freeze, commit, thaw, and the process that keeps the
hold and ends it when nobody else does.

What is on disk says what is to be: phase.json first, then the flag, then the rest.
A verb that is killed leaves the keeper to go on, and the keeper's end is seen to by
systemd; each step may be done twice."""
import concurrent.futures
import contextlib
import fcntl
import os
import time

import entries
import machine
import phase
import standby
import volumes
import web

UNIT = "cattle-freeze.service"
HOLD_S = 5.0       # until nothing can commit any more
WAITED_MS = 90_000 # nginx gives up on an app after 60 s
LOOK_MS = 10_000   # between two looks whether this is the live droplet


def freeze(arguments: list[str]) -> None:
    """freeze SECONDS: writes are held for so long, or until thaw."""
    seconds = float(arguments[0])
    volumes.forget_thaw()
    now = phase.read()
    if now["phase"] == "frozen" and held():
        now = phase.write("frozen", seconds, now["id"])
        return machine.say({"phase": "frozen", "until_ms": now["until_ms"]})
    now = phase.write("frozen", seconds)
    try:
        start_keeper()
        web.flag_on()
        pause()
        machine.store(machine.runtime("drained.json"), {"id": now["id"]})
        wait_for_hold(now["id"])
    except Exception:
        open_up()
        raise
    machine.say({"phase": "frozen", "until_ms": now["until_ms"]})


def commit(arguments: list[str]) -> None:
    """commit SECONDS: the switch comes next. From here on time alone does not thaw."""
    now = phase.read()
    if now["phase"] not in ("frozen", "committed") or now["phase"] == "frozen" and lapsed(now):
        raise machine.Fault("lapsed", "this droplet takes writes again: its freeze was over before the switch", side="old")
    phase.write("committed", float(arguments[0]), now["id"])
    machine.say({"phase": "committed"})


def let_go() -> None:
    """A droplet that was left for another one stays frozen, but its data is held no
    more after a while: an app whose health check writes is to be healthy as a standby
    too. Not at once: a visitor may still wait here for his write, and be told that it
    was made."""
    now = phase.read()
    if now["phase"] == "committed" and not machine.live():
        machine.store(machine.kept("left.json"), {"id": now["id"], "at_ms": machine.now_ms() + WAITED_MS})


def left(now: dict) -> bool:
    found = machine.load(machine.kept("left.json"))
    return bool(found) and found["id"] == now["id"] and machine.now_ms() >= found["at_ms"]


def lapsed(now: dict) -> bool:
    return machine.now_ms() >= now["until_ms"] or volumes.thawed() == now["id"] or not held()


def thaw(_: list[str]) -> None:
    """Writes are let through. Whatever state a freeze was left in, this ends it."""
    machine.say({"phase": "open", "was": open_up()})


def open_up() -> str:
    """Opens this droplet and returns the phase that it was in. Without its volumes it
    stays closed, and the keeper opens it once they are back."""
    now = phase.read()
    if not volumes.back():
        volumes.write(thaw=now["id"])
        start_keeper()
        volumes.want()
        raise machine.Fault("volume-missing", "this droplet has let go of its volumes, and stays closed for a while")
    was = now["phase"]
    if was in ("new", "committed"):
        import writes
        writes.keep_baseline()
    if was != "open":
        phase.write("open")
    settle(was != "new")
    standby.forget()
    return was


def settle(held_before: bool) -> None:
    """Makes the machine what the phase `open` says. Held data is let go first: a
    write that nginx let through must not fail."""
    if held_before:
        wait_for_release()
    try:
        each(entries.of(machine.spec()), lambda entry: entry.release())
    finally:
        web.flag_off()
        resume()


def pause() -> None:
    """Stops what writes without being asked, and waits for what was asked."""
    spec = machine.spec()
    what = {"services": spec.get("pause") or [], "timers": spec.get("timers") or []}
    machine.store(machine.kept("paused.json"), what)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        jobs = [pool.submit(web.drain)]
        if what["services"]:
            jobs.append(pool.submit(machine.compose, "stop", "--timeout", "3", *what["services"]))
        if what["timers"]:
            jobs.append(pool.submit(machine.run, "systemctl", "--quiet", "stop", *what["timers"]))
        for job in jobs:
            job.result()


def resume() -> None:
    """Starts again what pause stopped; what does not start does not keep the rest."""
    what = machine.load(machine.kept("paused.json"))
    if what is None:
        return
    if what["services"]:
        note_failure(machine.compose("start", *what["services"], check=False))
    if what["timers"]:
        note_failure(machine.run("systemctl", "--quiet", "start", *what["timers"], check=False))
    machine.remove(machine.kept("paused.json"))


def note_failure(done) -> None:
    if done.returncode != 0:
        machine.note(machine.last_line(done.stderr))


def each(these: list[entries.Entry], do) -> list:
    """Does it to all entries at once. The first fault is raised once all have ended."""
    def one(entry):
        try:
            return do(entry)
        except machine.Fault as fault:
            fault.entry = fault.entry or entry.name
            raise
    if len(these) < 2:
        return [one(entry) for entry in these]
    with concurrent.futures.ThreadPoolExecutor(len(these)) as pool:
        return [job.result() for job in [pool.submit(one, entry) for entry in these]]


def install_keeper() -> None:
    """The keeper's unit, which a reboot starts again. It ends by itself where there
    is nothing to keep."""
    text = f"""[Unit]
Description=Holds writes while the state is carried to another droplet
After=docker.service cattle-app.service
StartLimitIntervalSec=0

[Service]
ExecStart={machine.path("/opt/cattle/state")} keep
Restart=on-failure
RestartSec=200ms

[Install]
WantedBy=multi-user.target
"""
    if web.changed(machine.path("/etc/systemd/system/" + UNIT), text):
        machine.run("systemctl", "daemon-reload")
        machine.run("systemctl", "--quiet", "enable", UNIT)


def start_keeper() -> None:
    machine.run("systemctl", "--quiet", "--no-block", "start", UNIT)


def held() -> bool:
    """Whether a keeper holds what this phase wants held."""
    found = machine.load(machine.runtime("held.json"))
    return bool(found) and found["id"] == phase.read()["id"] and not found["fault"] and keeper_runs()


def keeper_runs() -> bool:
    with contextlib.suppress(FileNotFoundError), open(machine.runtime("keeper.lock"), "rb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def wait_for_hold(identity: str) -> None:
    end, again = time.monotonic() + HOLD_S + 5, time.monotonic() + 0.5
    while time.monotonic() < end:
        if time.monotonic() > again and not keeper_runs():
            start_keeper()  # the one before was about to end
            again += 0.5
        found = machine.load(machine.runtime("held.json"))
        if found and found["id"] == identity:
            if found["fault"]:
                told = found["fault"]
                raise machine.Fault(told["code"], told["message"], told["entry"], "old")
            return
        time.sleep(0.005)
    raise machine.Fault("engine", f"{UNIT} does not hold the writes", side="old")


def wait_for_release() -> None:
    """The keeper sees that the phase is over within a moment. One that does not is stopped."""
    end = time.monotonic() + 1
    while keeper_runs():
        if time.monotonic() > end:
            machine.run("systemctl", "stop", UNIT, check=False)
            return
        if not os.path.exists(machine.runtime("held.json")):
            return
        time.sleep(0.005)


def keep(_: list[str]) -> None:
    """What the unit runs: keeps the hold for as long as the phase lasts."""
    with open(machine.runtime("keeper.lock"), "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return  # another one does
        Keeper().run()


def hold(entry: entries.Entry) -> None:
    """What no app has made yet needs no hold."""
    try:
        entry.hold(HOLD_S)
    except machine.Fault as fault:
        if fault.code != "entry-empty":
            raise


class Keeper:
    def __init__(self):
        self.entries, self.identity = [], ""
        self.began, self.looked_ms = time.monotonic(), 0
        self.here, self.thawed, self.tended = True, "", 0.0
        machine.remove(machine.runtime("held.json"))

    def run(self) -> None:
        while True:
            now = phase.read()
            here = self.has_volumes()
            if now["phase"] == "open":
                self.looked_ms = 0
                self.end()
                if here and phase.read()["phase"] == "open":
                    return
                time.sleep(0 if here else 0.1)
                continue
            if now["phase"] == "new" and self.identity:
                self.release()
            was_left = now["phase"] == "committed" and left(now)
            if was_left and self.identity:
                self.release()
            wanted = now["phase"] in ("frozen", "committed") and not was_left
            if wanted and self.identity == now["id"]:
                self.renew()
            if wanted and self.identity != now["id"] and self.drained(now):
                self.hold(now["id"])
            if here and self.over(now):
                self.open(now)
            time.sleep(0.5 if was_left else 0.02)

    def drained(self, now: dict) -> bool:
        """Whether the verb has come to where data may be held. After a reboot, or
        where it was killed, there is none: then this does it."""
        found = machine.load(machine.runtime("drained.json"))
        if found and found["id"] == now["id"]:
            return True
        if time.monotonic() - self.began < 3:
            return False
        with self.lock() as mine:
            if mine and phase.read() == now:
                web.flag_on()
                pause()
                machine.store(machine.runtime("drained.json"), {"id": now["id"]})
        return False

    def hold(self, identity: str) -> None:
        self.release()
        told = None
        try:
            self.entries = entries.of(machine.spec())
            each(self.entries, hold)
            self.identity = identity
        except machine.Fault as fault:
            told = fault.told()
            machine.note(f"{fault.entry} is not held: {fault.message}")
            self.release()
            time.sleep(0.2)
        machine.store(machine.runtime("held.json"), {"id": identity, "fault": told})

    def renew(self) -> None:
        """Holds again what let go by itself, as a server does that is started again."""
        lost = [entry for entry in self.entries if not entry.still_held()]
        try:
            each(lost, lambda entry: entry.hold(HOLD_S))
        except machine.Fault as fault:
            machine.note(f"{fault.entry} is not held any more: {fault.message}")
            time.sleep(0.2)

    def has_volumes(self) -> bool:
        """Whether this droplet may be open as far as its volumes go. One that is back is
        mounted."""
        if time.monotonic() < self.tended:
            return self.here
        self.tended = time.monotonic() + 0.5
        before, self.here, self.thawed = self.here, volumes.here(), volumes.thawed()
        if self.here:
            return True
        with self.lock() as mine:
            if mine:
                try:
                    self.here = volumes.back()
                except (machine.Fault, OSError) as fault:
                    machine.note(f"closed, for a volume is not mounted: {fault}")
                    self.tended += 5
                if before and not self.here:
                    phase.brief()
        return self.here

    def over(self, now: dict) -> bool:
        """Whether this droplet is to open: its lease ran out, or somebody thawed it while
        it had no volume. After a commit, and on a new droplet, that is enough only where
        visitors come here."""
        if self.thawed != now["id"] and not 0 < now["until_ms"] <= machine.now_ms():
            return False
        if now["phase"] == "frozen":
            return True
        if machine.now_ms() - self.looked_ms < LOOK_MS:
            return False
        self.looked_ms = machine.now_ms()
        return machine.live()

    def open(self, then: dict) -> None:
        with self.lock() as mine:
            if mine and phase.read() == then and volumes.back():
                machine.note("nobody ended the phase " + then["phase"] + " in time: writes are let through")
                self.release()
                open_up()

    @contextlib.contextmanager
    def lock(self):
        """A verb that is at work decides by itself what comes next."""
        try:
            with machine.locked(wait=0):
                yield True
        except machine.Fault:
            yield False

    def release(self) -> None:
        held_now, self.entries, self.identity = self.entries, [], ""
        try:
            each(held_now, lambda entry: entry.release())
        finally:
            machine.remove(machine.runtime("held.json"))

    def end(self) -> None:
        """The phase is over. The verb that ended it does the rest; this does, where
        that one was killed."""
        self.release()
        end = time.monotonic() + 30
        while phase.read()["phase"] == "open" and (web.flagged() or os.path.exists(machine.kept("paused.json"))):
            with self.lock() as mine:
                if mine and phase.read()["phase"] == "open":
                    settle(False)
            if time.monotonic() > end:
                return
            time.sleep(0.2)
