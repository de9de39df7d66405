"""attend: the operator stays on the line while writes are held. One who is gone
can thaw nothing, and the lease is long: so the droplet does, as soon as the line is."""
import secrets
import sys
import time

import freeze
import machine
import phase

# How long whoever lost his connection, and lives, has to come back.
GRACE_S = 1.5


def attend(_: list[str]) -> None:
    """Returns when the line ends. A later attend, and any change of the phase, is
    another matter."""
    mine, identity = secrets.token_hex(8), phase.read()["id"]
    machine.store(machine.runtime("attended.json"), {"by": mine})
    machine.say({"attending": True})
    while sys.stdin.buffer.read(4096):
        pass
    time.sleep(GRACE_S)
    with machine.locked():
        now, by = phase.read(), machine.load(machine.runtime("attended.json"))
        if now["phase"] == "frozen" and now["id"] == identity and by == {"by": mine}:
            machine.note("whoever had the writes held is gone: they are let through")
            freeze.open_up()
