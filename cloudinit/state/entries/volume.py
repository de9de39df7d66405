"""A block storage volume: it moves from droplet to droplet as a whole, so that no
copy of it is made but a backup's."""
import os
import sys

import machine
from blockdevice import BlockDevice
from entries import Entry
from entries.files import load


class Volume(Entry):
    outlives = True

    def __init__(self, spec: dict):
        super().__init__(spec)
        self.device = BlockDevice(spec)

    def folder(self) -> str:
        if not self.device.mounted():
            raise machine.Fault("volume-missing", f"the volume {self.device.name} is not mounted here")
        return self.device.path

    def facts(self) -> dict:
        """bytes: what is used of it; 0 where it is not mounted."""
        size, empty = 0, True
        if self.device.mounted():
            stat = os.statvfs(self.device.path)
            size, empty = (stat.f_blocks - stat.f_bfree) * stat.f_frsize, not set(os.listdir(self.device.path)) - {"lost+found"}
        return {"name": self.name, "kind": self.kind, "bytes": size, "empty": empty}

    def pull(self, link, final: bool, progress) -> dict:
        return {"bytes": 0, "estimate_ms": 0, "digest": "", "equal": True}

    def dump(self, folder: str) -> list[str]:
        return [self.folder()]

    def load(self, folder: str) -> None:
        load(folder, self.folder(), "--exclude=/lost+found")
