"""The program's modules, compiled. Those of an archive Python compiles at each start,
which takes longer than many a verb; and visitors wait for some of these."""
import os
import sys

# The archive is told from those before it by its inode and time: each is put in place anew.
_look = os.stat(sys.argv[0])
FOLDER = os.path.join(os.environ.get("CATTLE_ROOT", "/"), f"var/lib/cattle/program/{_look.st_ino}-{_look.st_mtime_ns}")


def prefer() -> None:
    """Has modules that are imported from now on come from there, if they are there."""
    if os.path.isdir(FOLDER):
        sys.path.insert(0, FOLDER)


def make() -> None:
    """Puts them there, and takes away what was made of other archives."""
    import compileall
    import shutil
    import zipfile
    if os.path.isdir(FOLDER):
        return
    shutil.rmtree(os.path.dirname(FOLDER), ignore_errors=True)
    with zipfile.ZipFile(sys.argv[0]) as archive:
        archive.extractall(FOLDER + ".part")
    compileall.compile_dir(FOLDER + ".part", quiet=2)
    os.rename(FOLDER + ".part", FOLDER)
