"""attend: the operator stays on the line while writes are held. One who is gone
can thaw nothing, and the lease is long: so the droplet does, as soon as the line is."""
import os
import sys

import machine
import phase

# How long whoever lost his connection, and lives, has to come back.
GRACE_S = 1.5


def attend(_: list[str]) -> None:
    """Returns when the line ends. It begins before the freeze, and who attends later
    takes over."""
    mine = os.urandom(8).hex()
    machine.store(machine.runtime("attended.json"), {"by": mine})
    machine.say({"attending": True})
    while sys.stdin.buffer.read(4096):
        pass
    with machine.locked(wait=30):  # for a freeze that is on its way
        now, by = phase.read(), machine.load(machine.runtime("attended.json"))
        if now["phase"] == "frozen" and by == {"by": mine}:
            # The keeper sees to it. Nobody is there any more who could be told.
            phase.write("frozen", GRACE_S, now["id"])
