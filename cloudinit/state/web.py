"""nginx: holding writes by a flag that it looks for at each request, and waiting
for those that it had let through already."""
import contextlib
import glob
import os
import signal
import time

import machine

DRAIN_S = 2.0  # how long a request that is under way may take to end

MAP = """# What may change something.
map $request_method $cattle_writes {
	default 1;
	GET '';
	HEAD '';
	OPTIONS '';
}
"""

# A droplet without its volumes answers nobody but ACME and who asks which one it is.
# The page is a file of its own: nginx would read variables in a text. A body of
# any size is let in, to be thrown away: 413 would be the wrong answer.
RULES = """# While the state is carried to another droplet, it is read and not written.
set $cattle_frozen $cattle_writes;
if (!-f {folder}/frozen) {{
	set $cattle_frozen '';
}}
set $cattle_closed '';
if (-f {folder}/volumes.json) {{
	set $cattle_closed 1;
}}
if (-f {memory}/mounted) {{
	set $cattle_closed '';
}}
if ($uri ~ "^/\\.well-known/(acme-challenge|cattle)/") {{
	set $cattle_closed '';
}}
if ($cattle_closed) {{
	set $cattle_frozen 1;
}}
if ($uri = /.well-known/cattle/frozen.html) {{
	set $cattle_frozen '';
}}
if ($cattle_frozen) {{
	rewrite ^ /.well-known/cattle/frozen last;
}}
location = /.well-known/cattle/frozen {{
	internal;
	access_log off;
	client_max_body_size 0;
	error_page 503 /.well-known/cattle/frozen.html;
	return 503;
}}
location = /.well-known/cattle/frozen.html {{
	internal;
	client_max_body_size 0;
	auth_basic off;
	alias {folder}/page.html;
	types {{ }}
	default_type text/html;
	charset utf-8;
	add_header Retry-After 5 always;
	add_header Cache-Control no-store always;
}}
"""

PAGE = "<p>This site is being moved and takes no changes for a moment. Please try again in a few seconds.</p>\n"


def flag_on() -> None:
    machine.write(machine.kept("frozen"), b"")


def flag_off() -> None:
    machine.remove(machine.kept("frozen"))


def flagged() -> bool:
    return os.path.exists(machine.kept("frozen"))


def install(page: str) -> None:
    """Puts the rules in nginx's configuration, also in one that an older version
    wrote, and has nginx read it if that changed anything."""
    if changed(machine.kept("page.html"), page or PAGE):
        os.chmod(machine.kept("page.html"), 0o644)
    folder = machine.path("/etc/nginx")
    if not os.path.isdir(f"{folder}/cattle"):
        return
    include = f"include {folder}/cattle/freeze.conf;\n"
    files = {f"{folder}/conf.d/cattle-freeze.conf": MAP,
             f"{folder}/cattle/freeze.conf": RULES.format(folder=machine.kept("").rstrip("/"), memory=machine.runtime("").rstrip("/"))}
    for site in glob.glob(f"{folder}/cattle/site-*.conf"):
        text = read(site)
        if include not in text:
            files[site] = include + text
    before = {file: read(file) for file in files}
    # The sites last: a crash leaves no include of what is not there.
    if not any([changed(file, text) for file, text in files.items()]):
        return
    try:
        machine.run("nginx", "-t", "-q")
    except machine.Fault:
        for file, text in reversed(before.items()):
            changed(file, text) if text else machine.remove(file)
        raise
    reload()


def read(file: str) -> str:
    with contextlib.suppress(FileNotFoundError), open(file, encoding="utf-8") as opened:
        return opened.read()
    return ""


def changed(file: str, text: str) -> bool:
    """Writes the file, unless it holds that text already."""
    if read(file) == text and os.path.exists(file):
        return False
    machine.write(file, text.encode())
    return True


def reload() -> int:
    """Has nginx start anew with its workers; returns its process, 0 where none runs."""
    pid = read(machine.path("/run/nginx.pid")).strip()
    if not pid.isdigit():
        return 0
    try:
        os.kill(int(pid), signal.SIGHUP)
    except ProcessLookupError:
        return 0
    return int(pid)


def drain() -> None:
    """Returns once no request is under way that began before the flag was there:
    nginx's old workers end with the last of theirs, or are ended."""
    pid = read(machine.path("/run/nginx.pid")).strip()
    old = workers(int(pid)) if pid.isdigit() else set()
    master = reload()
    for sign in (0, signal.SIGTERM, signal.SIGKILL):
        for worker in old if sign else ():
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, sign)
        end = time.monotonic() + DRAIN_S
        while old and time.monotonic() < end:
            time.sleep(0.005)
            old &= workers(master)
        if not old:
            return


def workers(master: int) -> set[int]:
    """The processes whose parent it is."""
    found = set()
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        with contextlib.suppress(OSError), open(f"/proc/{name}/stat", encoding="ascii", errors="replace") as file:
            state, parent = file.read().rpartition(")")[2].split()[:2]
            if int(parent) == master and state != "Z":
                found.add(int(name))
    return found
