"""One block storage volume, as this machine sees it: a device that is there or not,
and where it is mounted, by anybody."""
import contextlib
import glob
import os
import string

import machine
import web

DEVICES = "/dev/disk/by-id/scsi-0DO_Volume_"

# nofail: sshd and the rest of the boot do not wait for a volume that is elsewhere.
UNIT = """[Unit]
Description=The volume {name}
Before=docker.service cattle-app.service

[Mount]
What={device}
Where={path}
Options=noatime,nofail

[Install]
WantedBy=multi-user.target
"""
# At a boot the app does not start beside its data; the keeper starts it, later.
CONDITION = """[Unit]
ConditionPathIsMountPoint={path}
"""


class BlockDevice:
    def __init__(self, entry: dict):
        self.entry, self.name = entry["name"], entry["volume"]
        self.path = machine.path(entry["path"]).rstrip("/")
        self.device = machine.path(DEVICES + self.name)
        self.unit = unit_of(entry["path"])

    def there(self) -> bool:
        return os.path.exists(self.device)

    def places(self, process: str = "self") -> list[str]:
        """Where it is mounted, as a process sees it. What a device left behind that
        was taken away is nowhere."""
        source = os.path.realpath(self.device)
        return [place for place, mounted in mounts(process) if mounted == source] if self.there() else []

    def mounted(self) -> bool:
        return self.path in self.places()

    def mount(self) -> None:
        """In its place and nowhere else, now and after a reboot. Systems mount what is
        attached to them elsewhere, as they think fit."""
        try:
            for place in self.places():
                if place != self.path:
                    machine.run("umount", place)
            if not self.mounted():
                self.clear()
                self.format()
                machine.run("mount", "-o", "noatime", self.device, self.path)
            self.keep()
        except machine.Fault as fault:
            fault.entry = self.entry
            raise

    def clear(self) -> None:
        """Makes the place ready. While nothing is mounted there nobody writes to it: that
        would be on the droplet's disk, and gone with it."""
        if any(place == self.path for place, _ in mounts("self")):
            machine.run("umount", "--lazy", self.path)  # of a device that is not there any more
        os.makedirs(self.path, exist_ok=True)
        machine.run("chattr", "+i", self.path, check=False)

    def format(self) -> None:
        """Makes ext4 where there is nothing at all: no file system, no partitions."""
        with open(self.device, "rb") as opened:
            blank = not any(opened.read(1 << 20))  # and it can be read
        done = machine.run("blkid", "--probe", self.device, check=False)
        if blank and done.returncode == 2 and not done.stdout:
            machine.note(f"the volume {self.name} is blank: it gets an ext4")
            machine.run("mkfs.ext4", "-q", self.device, timeout=300)

    def keep(self) -> None:
        path = machine.of_droplet(self.path)
        text = UNIT.format(name=self.name, device=DEVICES + self.name, path=path)
        condition = machine.path(f"/etc/systemd/system/cattle-app.service.d/{self.entry}.conf")
        if web.changed(machine.path("/etc/systemd/system/" + self.unit), text) | web.changed(condition, CONDITION.format(path=path)):
            machine.run("systemctl", "daemon-reload")
        machine.run("systemctl", "--quiet", "enable", self.unit)

    def unmount(self) -> None:
        """Everywhere. First of all a reboot does not mount it again."""
        if os.path.exists(machine.path("/etc/systemd/system/" + self.unit)):
            machine.run("systemctl", "--quiet", "disable", self.unit)
        for place in self.places():
            machine.run("sync", "--file-system", place, timeout=120)
            done = machine.run("umount", place, timeout=120, check=False)
            if done.returncode != 0:
                raise self.busy(self.users(place) or machine.last_line(done.stderr))
        if others := self.others():
            raise self.busy(others)

    def busy(self, why: str) -> machine.Fault:
        return machine.Fault("volume-busy", f"the volume {self.name} cannot be unmounted: {why}", self.entry)

    def others(self) -> str:
        """Processes that have it mounted for themselves alone, as containers do: unmounted
        here, it would still be in use."""
        return named([process for process in processes() if self.places(process)])

    def users(self, place: str) -> str:
        """Processes that have something open on it."""
        def uses(process: str) -> bool:
            links = [machine.path(f"/proc/{process}/{name}") for name in ("cwd", "root", "exe")]
            for link in links + glob.glob(machine.path(f"/proc/{process}/fd/*")):
                with contextlib.suppress(OSError):
                    if (os.readlink(link) + "/").startswith(place + "/"):
                        return True
            return False
        return named([process for process in processes() if uses(process)])


def mounts(process: str) -> list[tuple[str, str]]:
    """The places of a process's mounts, and what is mounted there."""
    found = []
    with contextlib.suppress(OSError), open(machine.path(f"/proc/{process}/mountinfo"), encoding="utf-8", errors="replace") as file:
        for line in file:
            mount, _, source = line.partition(" - ")
            found.append((mount.split()[4], source.split()[1]))
    return found


def processes() -> list[str]:
    return [name for name in os.listdir(machine.path("/proc")) if name.isdigit()]


def named(processes: list[str]) -> str:
    """Some of them, for people."""
    names = [f"{web.read(machine.path(f'/proc/{process}/comm')).strip()} (process {process})" for process in processes[:3]]
    return f"{', '.join(names)} {'uses' if len(names) == 1 else 'use'} it" if names else ""


def unit_of(path: str) -> str:
    """What systemd calls the unit of a mount there."""
    plain = string.ascii_letters + string.digits + ":_."
    return "".join("-" if c == "/" else c if c in plain else f"\\x{ord(c):02x}" for c in path.strip("/")) + ".mount"
