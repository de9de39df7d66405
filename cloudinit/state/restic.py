"""The repository of backups: restic, and what it must know that nobody may see."""
import contextlib
import ctypes
import datetime
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.parse

import machine
from machine import Fault

# Exit statuses that restic has since 0.17; before that its words tell.
ABSENT, LOCKED, WRONG_PASSWORD = 10, 11, 12
INCOMPLETE = 3  # of a backup: some files could not be read
# A server that does not answer for so long is one that cannot be reached.
# restic itself would go on for a quarter of an hour.
ANSWER_WITHIN = 60
# restic renews its locks every five minutes, and takes one for stale that is
# half an hour old.
STALE_AFTER = 30 * 60


def repository_of(backup: dict) -> str:
    """The repository as it may be shown: an address may have a password in it."""
    return re.sub(r"(://[^/@:]*):[^/@]*@", r"\1:***@", backup["repository"])


class Repository:
    """The repository of the spec's `backup`. Made by `opened` alone."""

    def __init__(self, spec: dict, folder: str):
        self.app = spec["app"]
        self.backup = spec["backup"]
        self.folder = folder
        self.secrets = machine.load(machine.path("/run/cattle/secrets.json")) or {}
        self.name = repository_of(self.backup)
        self.environment = self._environment()
        self.options = self._options()

    def _secret(self, name: str) -> str:
        if name not in self.secrets:
            raise Fault("repository", f"backup: the secret {name} is not on this droplet: put it into the secrets' file")
        return self.secrets[name]

    def _keep(self, name: str, text: str) -> str:
        """A file in memory that nobody but root reads."""
        path = os.path.join(self.folder, name)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text if text.endswith("\n") else text + "\n")
        return path

    def _environment(self) -> dict:
        out = {name: os.environ[name] for name in ("PATH", "LANG", "SSL_CERT_FILE") if name in os.environ}
        out.update(self.backup.get("plain_env") or {})
        out.update({name: self._secret(secret) for name, secret in (self.backup.get("env") or {}).items()})
        cache = machine.path("/var/cache/cattle")
        os.makedirs(cache, mode=0o700, exist_ok=True)
        out.update({
            "HOME": self.folder, "TMPDIR": cache, "RESTIC_CACHE_DIR": os.path.join(cache, "restic"),
            # Both may have a secret in them, so neither is an argument.
            "RESTIC_REPOSITORY": self.backup["repository"],
            "RESTIC_PASSWORD_FILE": self._keep("password", self._secret(self.backup["password"])),
        })
        return out

    def _options(self) -> list[str]:
        """How SFTP is spoken: with the account's key alone, to the host of the
        profile alone. sftp.args would do, but for restic of before 0.15."""
        if not self.backup["repository"].startswith("sftp:"):
            return []
        user, host, port = sftp_login(self.backup["repository"])
        command = ["ssh", "-F", "none", "-o", "BatchMode=yes", "-o", "ConnectTimeout=20", "-o", "ServerAliveInterval=15",
                   "-o", "StrictHostKeyChecking=yes", "-o", "GlobalKnownHostsFile=none",
                   "-o", "UserKnownHostsFile=" + self._keep("known_hosts", self.backup["known_host"]),
                   "-o", "IdentitiesOnly=yes", "-i", self._keep("key", key_of(self._secret(self.backup["ssh_key"])))]
        command += ["-p", port] if port else []
        command += ["-l", user] if user else []
        return ["-o", "sftp.command=" + " ".join([*command, "-s", "--", host, "sftp"])]

    def ask(self, *args: str, within: float | None = None) -> subprocess.CompletedProcess:
        """Runs restic, whatever comes of it."""
        command = ["restic", *self.options, *args]
        try:
            return self._finished(command, within)
        except FileNotFoundError:
            raise Fault("repository", "restic is not installed here: cattle release installs it, "
                        "and so does apt-get install restic") from None

    def _finished(self, command: list[str], within: float | None) -> subprocess.CompletedProcess:
        # Of a group of its own, so that the ssh that it starts ends with it.
        process = subprocess.Popen(command, env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, errors="replace", start_new_session=True,
                                   preexec_fn=dies_with_us)
        try:
            out, said = process.communicate(timeout=within)
        except subprocess.TimeoutExpired:
            end(process)
            said = process.communicate()[1]
            raise Fault("repository", f"{self.name} did not answer within {within:.0f} s: {self.words(said)}") from None
        except BaseException:
            end(process)
            raise
        return subprocess.CompletedProcess(command, process.returncode, out, said)

    def run(self, *args: str, within: float | None = None) -> str:
        """Runs restic and returns what it prints; a Fault if it fails."""
        done = self.ask(*args, within=within)
        if done.returncode != 0:
            raise self.fault(done)
        return done.stdout

    def words(self, said: str) -> str:
        """The last words that restic had, in a line, with no secret in them."""
        lines = [re.sub(r"\x1b\[[0-9;]*[A-Za-z]|[^ -~\xa0-\uffff]", "", plain(line)).strip() for line in said.splitlines()]
        lines = [line for line in lines if line and not line.startswith("signal interrupt received")]
        fatal = [line for line in lines if line.startswith(("Fatal: ", "rest:"))]
        refused = [line for line in lines if "Permission denied" in line or "Host key verification" in line]
        text = (refused or fatal or lines or ["it said nothing"])[-1].removeprefix("Fatal: ")
        values = [*self.secrets.values(), *(line for value in self.secrets.values() for line in value.splitlines())]
        for value in sorted(set(values), key=len, reverse=True):
            if len(value) >= 4:
                text = text.replace(value, "[secret]")
        return re.sub(r"(://[^/@:\s]*):[^/@\s]*@", r"\1:***@", text)[:500]

    def fault(self, done: subprocess.CompletedProcess) -> Fault:
        said = done.stderr
        words = self.words(said)
        if is_wrong_password(done):
            return Fault("wrong-password", f"{self.name} has another password than {self.backup['password']}: "
                         "correct backup.password, or name another repository")
        if is_locked(done):
            return Fault("busy", f"{self.name} is locked by another restic: {words}")
        if is_absent(done):
            return Fault("no-backup", f"there is no backup: nobody has made a repository at {self.name} yet")
        if "no space left on device" in said.lower():
            return Fault("disk-full", f"no room is left: {words}")
        if re.search(r"quota|insufficient storage|no room|507|SSH_FX_FAILURE", said, re.IGNORECASE):
            return Fault("repository", f"{self.name} takes no more, perhaps it is full: {words}")
        return Fault("repository", f"{self.name}: {words}")

    def ready(self) -> None:
        """Makes the repository if there is none: not when the password is wrong
        or the server cannot be reached."""
        done = self.ask("cat", "config", "--no-lock", within=ANSWER_WITHIN)
        if done.returncode == 0:
            return
        if not is_absent(done):
            raise self.fault(done)
        done = self.ask("init", within=ANSWER_WITHIN)
        # Two droplets may have made it at the same time; then there is one.
        if done.returncode != 0 and self.ask("cat", "config", "--no-lock", within=ANSWER_WITHIN).returncode != 0:
            raise self.fault(done)

    def locked_out(self, *args: str) -> subprocess.CompletedProcess:
        """Runs what a lock may be in the way of, whatever comes of it. Locks that
        nobody renews are taken away: such of a droplet that was destroyed in the
        middle. By their host they cannot be told, for all droplets of an app have
        the same name, so age alone counts."""
        done = self.ask(*args)
        if is_locked(done) and self.only_stale_locks():
            self.run("unlock", within=ANSWER_WITHIN)
            done = self.ask(*args)
        return done

    def only_stale_locks(self) -> bool:
        ids = self.run("list", "locks", "--no-lock", "--quiet", within=ANSWER_WITHIN).split()
        ages = []
        for one in ids:
            lock = self.ask("cat", "lock", one, "--no-lock", "--quiet", within=ANSWER_WITHIN)
            if lock.returncode == 0:  # else it is gone by now
                ages.append(time.time() - seconds_of(json.loads(lock.stdout)["time"]))
        return all(age > STALE_AFTER for age in ages)

    def snapshots(self, *which: str) -> list[dict]:
        """What there is of the app, newest first; nothing without a repository."""
        done = self.ask("snapshots", "--json", "--no-lock", "--host", self.app, "--tag", "app:" + self.app, *which,
                        within=ANSWER_WITHIN * 2)
        if is_absent(done):
            return []
        if done.returncode != 0:
            raise self.fault(done)
        return sorted(json.loads(done.stdout) or [], key=lambda one: seconds_of(one["time"]), reverse=True)


@contextlib.contextmanager
def opened(spec: dict):
    """The spec's repository, for as long as the block lasts."""
    if not spec.get("backup"):
        raise Fault("no-backup", "the profile has no backup: add backup: {repository: …, password: …} and release")
    run = os.path.dirname(machine.runtime(""))
    sweep(run)
    folder = tempfile.mkdtemp(prefix=f"backup.{os.getpid()}.", dir=run)  # of mode 0700
    try:
        yield Repository(spec, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sweep(run: str) -> None:
    """Takes away what killed processes left in memory."""
    for name in os.listdir(run):
        found = re.fullmatch(r"backup\.(\d+)\..*", name)
        if found and not os.path.exists("/proc/" + found[1]):
            shutil.rmtree(os.path.join(run, name), ignore_errors=True)


def dies_with_us() -> None:
    """Has the kernel interrupt the process when this one is killed."""
    ctypes.CDLL(None).prctl(1, signal.SIGINT)  # PR_SET_PDEATHSIG


def end(process: subprocess.Popen) -> None:
    """Ends restic as ^C would, for it then takes its lock away, or by force."""
    for number, patience in ((signal.SIGINT, 10), (signal.SIGKILL, None)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience)
            return


def plain(line: str) -> str:
    """A line of restic's, which with --json may be an object."""
    with contextlib.suppress(ValueError, AttributeError):
        found = json.loads(line)
        return found.get("message") or (found.get("error") or {}).get("message") or line
    return line


def is_wrong_password(done) -> bool:
    return done.returncode == WRONG_PASSWORD or "wrong password or no key found" in done.stderr


def is_locked(done) -> bool:
    return done.returncode == LOCKED or "already locked" in done.stderr


def is_absent(done) -> bool:
    """Whether there is no repository, which is not: whether none was seen. The
    server has to have said so."""
    if done.returncode == ABSENT:
        return True
    said = re.search(r"unable to open config file:(.*)", done.stderr)
    return done.returncode != 0 and bool(said) and bool(re.search(r"does not exist|no such file or directory", said[1]))


def sftp_login(repository: str) -> tuple[str, str, str]:
    """User, host and port of sftp:user@host:/path or sftp://user@host:port//path."""
    if repository.startswith("sftp://"):
        url = urllib.parse.urlsplit(repository)
        return url.username or "", url.hostname or "", str(url.port or "")
    login = repository.removeprefix("sftp:").partition(":")[0]
    user, _, host = login.rpartition("@")
    return user, host, ""


def key_of(secret: str) -> str:
    """A private key with its lines, which a file of NAME=VALUE may have in one."""
    return secret.strip().replace("\\n", "\n") if "\n" not in secret.strip() else secret.strip()


def seconds_of(time_text: str) -> float:
    """Unix seconds of restic's times, which have up to nine digits of a second."""
    whole, fraction, zone = re.fullmatch(r"([^.+Z]*?)(\.\d+)?(Z|[+-]\d\d:\d\d)", time_text).groups()
    moment = datetime.datetime.fromisoformat(whole + zone.replace("Z", "+00:00"))
    return moment.timestamp() + float(fraction or 0)
