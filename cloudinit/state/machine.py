"""This machine, as the verbs see it: where things lie, how commands are run,
how answers and faults are told, what is kept on disk."""
import contextlib
import errno
import fcntl
import json
import os
import subprocess
import sys
import threading
import time

ROOT = os.environ.get("CATTLE_ROOT", "/")
OUTPUT = threading.Lock()


class Fault(Exception):
    """What a verb failed of. The code is for programs, the message for people:
    a sentence without a secret. The side is the droplet it is about."""

    def __init__(self, code: str, message: str, entry: str = "", side: str = ""):
        super().__init__(message)
        self.code, self.message, self.entry, self.side = code, message, entry, side

    def told(self) -> dict:
        return {"code": self.code, "entry": self.entry, "side": self.side, "message": self.message}


def path(absolute: str) -> str:
    """Where something of a droplet's lies; a test's droplet has a root of its own."""
    return os.path.join(ROOT, absolute.lstrip("/"))


def of_droplet(path: str) -> str:
    """What such a path is on a droplet that is no test's."""
    return "/" + os.path.relpath(path, ROOT)


def runtime(name: str) -> str:
    """A path in memory, gone after a reboot."""
    os.makedirs(path("/run/cattle"), mode=0o711, exist_ok=True)
    return path("/run/cattle/" + name)


def kept(name: str) -> str:
    """A path on disk. nginx, which is not root, has to see the flag in there."""
    os.makedirs(path("/var/lib/cattle/state"), mode=0o755, exist_ok=True)
    return path("/var/lib/cattle/state/" + name)


def say(answer: dict) -> None:
    """One line of the answer."""
    with OUTPUT:
        print(json.dumps(answer), flush=True)


def note(text: str) -> None:
    """A line for people: in the journal, or on their terminal."""
    print("state: " + text, file=sys.stderr, flush=True)


def run(*command: str, input: bytes | None = None, timeout: float = 60, check: bool = True,
        env: dict | None = None) -> subprocess.CompletedProcess:
    """Runs a command to its end; its output is bytes. Where check is set, one
    that fails, is missing or takes longer than timeout (seconds) is a fault,
    which says the last line that the command wrote."""
    try:
        stdin = {"input": input} if input is not None else {"stdin": subprocess.DEVNULL}
        done = subprocess.run(command, capture_output=True, timeout=timeout,
                              env={**os.environ, **env} if env else None, **stdin)
    except FileNotFoundError:
        done = subprocess.CompletedProcess(command, 127, b"", b"there is no such command")
    except subprocess.TimeoutExpired:
        done = subprocess.CompletedProcess(command, 124, b"", b"did not end within %d seconds" % timeout)
    if check and done.returncode != 0:
        raise Fault("engine", f"{os.path.basename(command[0])}: {last_line(done.stderr or done.stdout)}")
    return done


def last_line(output: bytes) -> str:
    lines = output.decode(errors="replace").strip().splitlines()
    return lines[-1][:400] if lines else "failed without a word"


def compose(*arguments: str, **more) -> subprocess.CompletedProcess:
    """docker compose on the app, with its secrets."""
    return run(path("/opt/cattle/compose"), *arguments, **more)


def container(service: str) -> str:
    """The id of a service's container, running or not; empty where there is none."""
    app = spec()["app"]
    return run("docker", "container", "ls", "--all", "--quiet", "--no-trunc",
               "--filter", f"label=com.docker.compose.project={app}",
               "--filter", f"label=com.docker.compose.service={service}",
               "--filter", "label=com.docker.compose.oneoff=False").stdout.decode().partition("\n")[0]


def volume(name: str) -> str:
    """The folder of a volume, empty where docker knows none of that name."""
    done = run("docker", "volume", "inspect", "--format", "{{.Mountpoint}}", name, check=False)
    return done.stdout.decode().strip() if done.returncode == 0 else ""


def live() -> bool:
    """Whether visitors come here: whether this droplet holds the reserved IP."""
    return run(path("/opt/cattle/live"), check=False, timeout=15).returncode == 0


def secret(name: str) -> str:
    """A secret's value, empty where the droplet has none of that name."""
    if not name:
        return ""
    return (load(path("/run/cattle/secrets.json")) or {}).get(name, "")


def spec() -> dict:
    """What state the app has. A live droplet keeps to its own, and learns from
    what it was offered of entries alone that it did not know yet."""
    own = load(path("/etc/cattle/state.json"))
    if own is None:
        raise Fault("engine", "this droplet has not been told what state its app has")
    names = {entry["name"] for entry in own.get("entries") or []}
    offered = (load(path("/etc/cattle/state.json.new")) or {}).get("entries") or []
    own["entries"] = list(own.get("entries") or []) + [entry for entry in offered if entry["name"] not in names]
    return own


def load(file: str):
    """What a JSON file holds, None where there is none."""
    try:
        with open(file, encoding="utf-8") as opened:
            return json.load(opened)
    except FileNotFoundError:
        return None


def store(file: str, value, mode: int = 0o644, durable: bool = True) -> None:
    write(file, json.dumps(value).encode() + b"\n", mode, durable)


def write(file: str, content: bytes, mode: int = 0o644, durable: bool = True) -> None:
    """Puts a file in place at once: a crash leaves the old one or the new one. What
    lies in memory, or is not durable, is not waited for."""
    durable = durable and not file.startswith(path("/run/"))
    os.makedirs(os.path.dirname(file), exist_ok=True)
    beside = f"{file}.{os.getpid()}.part"
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with open(descriptor, "wb") as opened:
        os.fchmod(descriptor, mode)
        opened.write(content)
        opened.flush()
        if durable:
            os.fsync(descriptor)
    os.rename(beside, file)
    if durable:
        sync_folder(os.path.dirname(file))


def remove(file: str) -> bool:
    """Takes a file away for good, and tells whether it was there."""
    try:
        os.unlink(file)
    except (FileNotFoundError, NotADirectoryError):
        return False
    if not file.startswith(path("/run/")):
        sync_folder(os.path.dirname(file))
    return True


def sync_folder(folder: str) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def took_ms(began: float) -> int:
    """Since a time of the monotonic clock."""
    return round((time.monotonic() - began) * 1000)


@contextlib.contextmanager
def locked(name: str = "state", wait: float = 10):
    """Nobody else is in a block of that name meanwhile. A killed process lets go."""
    with open(runtime(name + ".lock"), "w") as lock:
        end = time.monotonic() + wait
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.EACCES):
                    raise
            if time.monotonic() > end:
                raise Fault("busy", "another command is at work on this droplet")
            time.sleep(0.02)
        yield
