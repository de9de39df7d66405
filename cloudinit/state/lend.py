"""Lends the new droplet a key to this one: it opens `state serve` and nothing else,
for a time, from one address."""
import ipaddress
import os
import re
import sys
import time

import freeze
import machine

MARK = "cattle-handoff"


def lend(arguments: list[str]) -> None:
    """lend SECONDS PEER: the public key is on stdin."""
    seconds, peer = int(arguments[0]), arguments[1] if len(arguments) > 1 else ""
    key = sys.stdin.readline().split()
    if len(key) < 2 or not re.fullmatch(r"[a-z0-9@.-]+", key[0]) or not re.fullmatch(r"[A-Za-z0-9+/=]+", key[1]):
        raise machine.Fault("engine", "stdin is no public key")
    take_back()
    until = time.time() + seconds
    machine.store(machine.kept("lent.json"), {"until_ms": round(until * 1000)})
    # sshd reads the time in this machine's own zone.
    expiry = time.strftime("%Y%m%d%H%M%S", time.localtime(until))
    command = machine.path("/opt/cattle/state") + " serve"
    line = f'restrict,expiry-time="{expiry}",command="{command}" {key[0]} {key[1]} {MARK}'
    rewrite_keys([line])
    let_in(peer)
    machine.say({"lent": True})


def give_back(_: list[str]) -> None:
    take_back()
    freeze.let_go()
    machine.say({"lent": False})


def take_back() -> None:
    machine.remove(machine.kept("lent.json"))
    rewrite_keys([])
    for handle in rules():
        machine.run("nft", "delete", "rule", "inet", "cattle", "input", "handle", handle, check=False)


def rewrite_keys(more: list[str]) -> None:
    """root's keys without those that were lent, and with these."""
    file = machine.path("/root/.ssh/authorized_keys")
    try:
        with open(file, encoding="utf-8", errors="surrogateescape") as opened:
            lines = opened.read().splitlines()
    except FileNotFoundError:
        lines = []
        os.makedirs(os.path.dirname(file), mode=0o700, exist_ok=True)
    kept = [line for line in lines if not line.endswith(" " + MARK)]
    if kept + more != lines:
        text = "".join(line + "\n" for line in kept + more)
        machine.write(file, text.encode(errors="surrogateescape"), 0o600)


def let_in(peer: str) -> None:
    """Lets the packet filter pass the peer, where there is a filter of ours. A
    forwarded port comes from this machine itself, which it always lets in."""
    if peer in ("", "-"):
        return
    address = ipaddress.ip_address(peer)
    if address.is_loopback:
        return
    if machine.run("nft", "list", "chain", "inet", "cattle", "input", check=False).returncode != 0:
        return
    family = "ip" if address.version == 4 else "ip6"
    machine.run("nft", "insert", "rule", "inet", "cattle", "input", family, "saddr", str(address),
                "tcp", "dport", "22", "accept", "comment", f'"{MARK}"')


def rules() -> list[str]:
    """The handles of the rules that lending left in the packet filter."""
    listed = machine.run("nft", "--handle", "list", "chain", "inet", "cattle", "input", check=False).stdout.decode()
    return [line.rsplit(" ", 1)[1] for line in listed.splitlines() if f'"{MARK}"' in line and "# handle " in line]
