"""Where the embedded servers live: their account, data, sockets and programs.

PostgreSQL refuses to run as root, so root starts both servers under an unprivileged account. That account
often cannot enter the checkout (/root is closed to it), which decides where data and programs have to lie.
Nothing here opens a directory that was closed before: only directories made by this module change hands.
"""

import fcntl
import hashlib
import os
import pwd
import shutil
import stat
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from devstack.console import DevstackError

REPOSITORY = Path(__file__).resolve().parent.parent
# A socket's path may have about 104 bytes; a temporary directory by name (macOS) or in $TMPDIR is too long
# for that.
_SHORT = Path("/tmp")


@dataclass(frozen=True)
class Account:
    name: str
    uid: int
    gid: int


def unprivileged_account() -> Account | None:
    """Whom root runs the servers as; None when we are not root and need not change."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid)
    raise DevstackError(
        "PostgreSQL does not run as root and there is no account 'nobody' to run it as. "
        "Run this as an ordinary user, or set DATABASE_URL and REDIS_URL."
    )


def reachable(path: Path, account: Account | None) -> bool:
    """Can the account enter or execute `path`? The kernel knows: access lists, mounts."""
    command = ["/bin/sh", "-c", 'test -x "$0"', str(path)]
    if account is None:
        return subprocess.run(command, cwd="/", check=False).returncode == 0
    try:
        done = subprocess.run(
            command, cwd="/", check=False, user=account.uid, group=account.gid, extra_groups=[]
        )
    except OSError as error:
        raise DevstackError(
            f"Root may not become '{account.name}' here ({error.strerror}), and PostgreSQL refuses root. "
            "Run this as an ordinary user, or set DATABASE_URL and REDIS_URL."
        ) from error
    return done.returncode == 0


def var_dir() -> Path:
    """What a run leaves behind and a second run finds again; the settings read the same variable."""
    return Path(os.environ.get("ANBAN_VAR_DIR") or REPOSITORY / "var")


def _key() -> str:
    """Two checkouts (or two var directories) on one machine never share data or sockets."""
    return hashlib.sha256(str(var_dir().resolve()).encode()).hexdigest()[:8]


def data_home(account: Account | None) -> Path:
    """Where the servers' data lies: in var/, or under /var/lib when the account cannot enter var/."""
    var = var_dir()
    var.mkdir(parents=True, exist_ok=True)
    if reachable(var, account):
        return var
    home = Path("/var/lib/anban") / _key()
    home.mkdir(parents=True, exist_ok=True)
    return home


def private_dir(path: Path, account: Account | None) -> Path:
    """A directory of mode 700 for the account; refuses one that somebody else made first (/tmp is shared)."""
    path.mkdir(mode=0o700, exist_ok=True)
    found = path.lstat()
    owner = account.uid if account else os.geteuid()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in {owner, os.geteuid()}:
        raise DevstackError(f"{path} belongs to somebody else. Remove it and start again.")
    path.chmod(0o700)
    if account:
        os.chown(path, account.uid, account.gid)
    return path


def socket_dir(account: Account | None) -> Path:
    return private_dir(_SHORT / f"anban-{os.geteuid()}-{_key()}", account)


def reachable_programs(programs: Path, home: Path, account: Account | None) -> Path:
    """`programs`, or a copy beside the data when the account cannot execute what lies in the checkout."""
    if reachable(programs, account):
        return programs
    package = next(parent for parent in programs.parents if parent.parent.name == "site-packages")
    # Size and time name the copy, so that an upgraded package is copied anew.
    found = programs.stat()
    copy = home / "programs" / f"{package.name}-{found.st_size:x}-{int(found.st_mtime):x}"
    if not copy.exists():
        unfinished = copy.with_suffix(f".{os.getpid()}")
        # Wheels keep shared libraries in a second directory, which the programs find by its relative place.
        for part in (package, package.with_name(f"{package.name}.libs")):
            if part.exists():
                shutil.copytree(part, unfinished / part.name, symlinks=True)
        unfinished.rename(copy)
    return copy / programs.relative_to(package.parent)


def claim(path: Path, patience: float = 20.0) -> int:
    """Lock `path` for this run and return the descriptor that holds the lock.

    The guard inherits the descriptor: after a kill -9 the lock stays held until the guard has cleared what
    was left, so a new server never shares a data directory or a socket with an old one that is still going
    down.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode().strip()
            # A live holder will not let go; a dead one's guard is about to.
            if (holder.isdigit() and process_exists(int(holder))) or time.monotonic() > deadline:
                os.close(descriptor)
                raise DevstackError(
                    f"Anban is already running from this checkout (process {holder or 'unknown'}). "
                    "Stop it with Ctrl-C in its terminal first."
                ) from None
            time.sleep(0.1)
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


def is_claimed(path: Path) -> bool:
    """Is a run going on? Looks without disturbing it."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def process_exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
