"""When backups are made: systemd's timers on the droplet, of which the live one
alone does anything."""
import os

import machine
import record
from machine import Fault

UNITS = "/etc/systemd/system/"
CONDITION = "ExecCondition=/opt/cattle/live\n"


def units(spec: dict) -> dict[str, str]:
    """The files of the schedule, by name."""
    app = spec["app"]
    times = "".join(f"OnCalendar={time}\n" for time in spec["backup"]["calendar"])
    return {
        "cattle-backup.service": (
            f"[Unit]\nDescription=Backup of {app}\nAfter=cattle-app.service network-online.target\n\n"
            f"[Service]\nType=oneshot\n{CONDITION}ExecStart=/opt/cattle/state backup scheduled\n"
            "Nice=10\nIOSchedulingClass=idle\nTimeoutStartSec=12h\n"),
        # Missed while the droplet was off: made up for. All sites at once is
        # what no server likes.
        "cattle-backup.timer": (
            f"[Unit]\nDescription=Times of the backups of {app}\n\n"
            f"[Timer]\n{times}RandomizedDelaySec=60\nPersistent=true\n\n[Install]\nWantedBy=timers.target\n"),
        "cattle-backup-watch.service": (
            f"[Unit]\nDescription=Whether a backup of {app} is overdue\n\n"
            f"[Service]\nType=oneshot\n{CONDITION}ExecStart=/opt/cattle/state schedule watch\n"),
        "cattle-backup-watch.timer": (
            f"[Unit]\nDescription=Times of the look for backups of {app}\n\n"
            "[Timer]\nOnCalendar=hourly\nRandomizedDelaySec=300\n\n[Install]\nWantedBy=timers.target\n"),
    }


NAMES = ("cattle-backup.service", "cattle-backup.timer", "cattle-backup-watch.service", "cattle-backup-watch.timer")
TIMERS = tuple(name for name in NAMES if name.endswith(".timer"))


def schedule(arguments: list[str]) -> None:
    if arguments == ["watch"]:
        return watch()
    if arguments:
        raise Fault("engine", "schedule, or schedule watch")
    spec = machine.spec()
    if spec.get("backup"):
        begin(spec)
    else:
        end()
    machine.say({"scheduled": bool(spec.get("backup"))})


def begin(spec: dict) -> None:
    changed = [name for name, text in units(spec).items() if put(name, text)]
    if changed:
        machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "enable", "--now", "--quiet", *TIMERS)
    # A timer that runs goes by its old times until it is started anew.
    for name in set(changed) & set(TIMERS):
        machine.run("systemctl", "restart", name)
    found = record.read()
    record.write(since_ms=found["since_ms"] or machine.now_ms())
    learn(spec)


def end() -> None:
    there = [name for name in NAMES if os.path.exists(machine.path(UNITS + name))]
    if there:
        machine.run("systemctl", "disable", "--now", "--quiet", *[name for name in there if name in TIMERS])
        for name in there:
            machine.remove(machine.path(UNITS + name))
        machine.run("systemctl", "daemon-reload")
    record.forget()


def put(name: str, text: str) -> bool:
    """Writes a unit, and tells whether it was another one."""
    file = machine.path(UNITS + name)
    if os.path.exists(file):
        with open(file, encoding="utf-8") as opened:
            if opened.read() == text:
                return False
    machine.write(file, text.encode())
    return True


def learn(spec: dict) -> dict:
    """What the last backup is, which another droplet may have made. A repository
    that cannot be asked is no reason to fail: a backup will tell."""
    import backup
    found = record.read()
    try:
        last = backup.latest(spec)
    except Fault as fault:
        machine.note("the newest backup is not known: " + fault.message)
        return found
    if last and last["at_ms"] > found["last_ms"]:
        found = record.write(last_ms=last["at_ms"], last_id=last["id"])
    return found


def watch() -> None:
    """Looks whether a backup is overdue, and mails root once a day of it."""
    spec = machine.spec()
    if not spec.get("backup"):
        return
    found = record.read()
    if record.overdue(spec, found):
        found = learn(spec)
    late = record.overdue(spec, found)
    now = machine.now_ms()
    if late and now - found["told_ms"] >= 23 * 3600 * 1000:
        record.mail(spec, "Backup overdue", f"There was no backup of {spec['app']} for "
                    f"{(now - max(found['last_ms'], found['since_ms'])) // 3600000} hours.\n\nTo make one: cattle backup")
        found["told_ms"] = now
    record.write(told_ms=found["told_ms"])
    machine.say({"overdue": late})
