"""What this droplet is in the middle of, on disk: open, frozen (by a lease, held
for a copy), committed (the switch is under way), new (started, not opened yet)."""
import os

import machine


def read() -> dict:
    """{"phase", "id" of the freeze, "since_ms", "until_ms" of the lease, 0 for none}."""
    found = machine.load(machine.kept("phase.json"))
    return found or {"phase": "open", "id": "", "since_ms": 0, "until_ms": 0}


def write(phase: str, seconds: float = 0, identity: str = "") -> dict:
    """Enters a phase, with a lease of so many seconds; 0 is none."""
    now = machine.now_ms()
    value = {"phase": phase, "id": identity or os.urandom(8).hex(), "since_ms": now,
             "until_ms": now + round(seconds * 1000) if seconds else 0}
    machine.store(machine.kept("phase.json"), value)
    brief()
    return value


def brief(**backup) -> None:
    """Writes what `status` tells. With backup=…, that part anew; else it stays."""
    import volumes
    file = machine.kept("brief.json")
    now, before = read(), machine.load(file) or {}
    machine.store(file, {"phase": now["phase"], "since_ms": now["since_ms"], "until_ms": now["until_ms"],
                         "backup": backup.get("backup", before.get("backup")), "volumes": volumes.brief()})


def ready() -> bool:
    """Whether the app may start at a boot."""
    return os.path.exists(machine.kept("ready"))
