"""`python -m devstack run` is `make run`; `exec` runs one command with the servers of this checkout.

python -m devstack run
python -m devstack exec -- python manage.py shell
python -m devstack exec --throwaway -- python manage.py makemigrations --check
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence

import environ

from devstack.console import DevstackError
from devstack.embedded import kept_servers, throwaway_servers, urls_of_running
from devstack.guard import Guard
from devstack.places import REPOSITORY, claim, is_claimed, var_dir
from devstack.supervisor import Supervisor, answers, check_port, free_port, process_table, understands


def run() -> int:
    began = time.monotonic()
    port = _port()
    check_port(port)
    env = dict(os.environ)
    model_port = None if env.get("LLM_BASE_URL") else free_port()
    if model_port:
        env |= {
            "LLM_BASE_URL": f"http://127.0.0.1:{model_port}/v1",
            "LLM_MODEL": "anban-demo",
            "ANBAN_DEMO_MODEL": "1",
        }
    embeddings_port = None if env.get("EMBEDDINGS_BASE_URL") else free_port()
    if embeddings_port:
        env["EMBEDDINGS_BASE_URL"] = f"http://127.0.0.1:{embeddings_port}/v1"
    env |= {"PORT": str(port), "PYTHONUNBUFFERED": "1"}

    def announce(accounts: str) -> None:
        rows = [line.split("\t") for line in accounts.splitlines() if line]
        widths = [max(len(row[column]) for row in rows) for column in range(2)] if rows else []
        print(f"\nAnban is ready after {time.monotonic() - began:.1f} s:  http://127.0.0.1:{port}/")
        if rows:
            print("\nDemo accounts (development only):")
        for role, email, password in rows:
            print(f"  {role:<{widths[0]}}  {email:<{widths[1]}}  {password}")
        print("\nCtrl-C stops everything.", flush=True)

    lock = claim(var_dir() / "run.lock")
    with Guard(keep_open=(lock,)) as guard:
        return Supervisor(kept_servers(guard, env), guard=guard, env=env).run(
            process_table(port=port, model_port=model_port, embeddings_port=embeddings_port),
            prepare=[sys.executable, "-m", "devstack.prepare"],
            # Without the embeddings messages would wait for nobody: the page is ready when they are.
            ready=lambda: answers(port) and (not embeddings_port or understands(embeddings_port)),
            announce=announce,
        )


def execute(command: Sequence[str], *, throwaway: bool) -> int:
    """Run one command with the servers of the run that is going on, or with ones started for it."""
    lock_file = var_dir() / "run.lock"
    if throwaway:
        with throwaway_servers({}) as env:
            return _call(command, env)
    if is_claimed(lock_file):
        return _call(
            command, {name: url for name, url in urls_of_running().items() if not os.environ.get(name)}
        )
    with Guard(keep_open=(claim(lock_file),)) as guard:
        servers = kept_servers(guard, os.environ)
        try:
            servers.start(quiet=True)
            return _call(command, servers.urls)
        finally:
            servers.stop()


def _call(command: Sequence[str], env: dict[str, str]) -> int:
    return subprocess.run(command, env={**os.environ, **env}, check=False).returncode


def _port() -> int:
    text = os.environ.get("PORT") or "8000"
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise DevstackError(f"PORT is '{text}'; it has to be a number between 1 and 65535.")
    return int(text)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m devstack")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("run", help="start everything; what `make run` does")
    exec_parser = verbs.add_parser("exec", help="run one command with PostgreSQL and Valkey at hand")
    exec_parser.add_argument(
        "--throwaway", action="store_true", help="with empty servers that are removed afterwards"
    )
    exec_parser.add_argument("command", nargs="+")
    arguments = parser.parse_args()
    if (REPOSITORY / ".env").exists():
        environ.Env.read_env(str(REPOSITORY / ".env"))  # what the shell has set already wins
    os.environ.setdefault("ANBAN_ENV", "development")
    try:
        if arguments.verb == "run":
            return run()
        return execute(arguments.command, throwaway=arguments.throwaway)
    except DevstackError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:  # during `exec`; the run ends in order by itself
        return 130


if __name__ == "__main__":
    sys.exit(main())
