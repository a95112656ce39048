"""The daemon's command line. Data goes to stdout, everything else to stderr; bad configuration ends with exit code 2."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import IO, Any

from tork.errors import SettingsError, StartError, TorkError, Unavailable
from torkd import __version__
from torkd.accounts_arguments import add_account_commands
from torkd.extensions import Extensions
from torkd.settings import Loaded, render_config

USAGE = 2
"""Bad configuration or a bad command line: nothing was started."""
FAILED = 1


def main(arguments: Sequence[str] | None = None, extensions: Extensions | None = None) -> int:
    """Run one command; its exit code. `extensions` are components to be had besides those of installed plugins."""
    options = _parser().parse_args(arguments)
    try:
        return _run(options, extensions or Extensions())
    except (SettingsError, StartError) as error:
        _complain(error)
        return USAGE
    except Unavailable as error:
        _complain(error)
        return FAILED
    except TorkError as error:
        _complain(error)
        return FAILED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except KeyboardInterrupt:
        return 130


def _complain(error: TorkError) -> None:
    for line in str(error).splitlines() or [type(error).__name__]:
        sys.stderr.write(f"torkd: {line}\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="torkd",
        description="The torkd daemon: runs jobs of tasks.",
        epilog="Settings come from config.toml and TORK_ variables; 'torkd config' shows those in force.",
    )
    parser.add_argument("--version", action="version", version=f"torkd {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="run the daemon", description="Run the daemon until it is told to stop.")
    run.add_argument(
        "mode",
        choices=("standalone", "coordinator", "worker"),
        metavar="MODE",
        help="standalone: everything in one process tree, with nothing to set up; coordinator, worker: parts of a cluster",
    )
    commands.add_parser(
        "migration", help="create or upgrade the database schema; safe to run twice, and from two machines"
    )
    doctor = commands.add_parser(
        "doctor",
        help="check the invariants of database, broker and this machine; exit 1 when something is wrong",
        description="Check the invariants of database, broker and this machine: a line each, exit 1 when something is wrong.",
    )
    doctor.add_argument("--fix", action="store_true", help="repair what can be repaired")
    doctor.add_argument("--dry-run", action="store_true", help="only say what --fix would do")
    add_account_commands(commands)
    rekey = commands.add_parser(
        "rekey",
        help="seal what is stored or waits with datastore.encryption.key instead of older keys; daemons may be at work",
        description="Seal what the database and RabbitMQ hold with datastore.encryption.key instead of older keys or none.",
    )
    rekey.add_argument("--dry-run", action="store_true", help="only count what is to be done")
    rekey.add_argument("--clear", action="store_true", help="store everything in clear instead: the end of encryption")
    commands.add_parser("health", help="exit 0 when the daemon at client.endpoint is UP, 1 otherwise")
    commands.add_parser("config", help="print the configuration in force, and where each value comes from")
    return parser


def _run(options: argparse.Namespace, extensions: Extensions) -> int:
    extensions.load_plugins()
    extensions.seal()
    loaded = extensions.read_settings()
    for warning in loaded.warnings:
        sys.stderr.write(f"torkd: warning: {warning}\n")
    match options.command:
        case "config":
            sys.stdout.write(render_config(loaded))
            return 0
        case "health":
            return _health(loaded)
        case "doctor":
            from torkd.doctor_command import doctor

            return doctor(loaded, extensions, fix=options.fix, dry_run=options.dry_run)
        case "user" | "role" | "key":
            from torkd.accounts_command import accounts

            return accounts(options, loaded, extensions)
        case "rekey":
            from torkd.rekey_command import rekey

            return rekey(loaded, dry_run=options.dry_run, clear=options.clear)
        case "migration":
            return _migrate(loaded)
        case _:
            return serve(options.mode, loaded, extensions)


def serve(mode: str, loaded: Loaded, extensions: Extensions) -> int:
    """`torkd run mode`. Only what the mode needs is imported: a worker has no use for a database's driver."""
    match mode:
        case "coordinator":
            from torkd.modes.coordinator import serve_coordinator

            return serve_coordinator(loaded, extensions)
        case "worker":
            from torkd.modes.worker import serve_worker

            return serve_worker(loaded, extensions)
        case _:
            from torkd.modes.standalone import serve_standalone

            return serve_standalone(loaded, extensions)


def _migrate(loaded: Loaded) -> int:
    from torkd.database import migrate_configured

    applied = migrate_configured(loaded)
    for name in applied:
        sys.stdout.write(f"applied {name}\n")
    if not applied:
        sys.stdout.write("the schema is up to date\n")
    return 0


def _health(loaded: Loaded) -> int:
    import json
    from http.client import RemoteDisconnected
    from urllib.error import HTTPError, URLError
    from urllib.request import Request, urlopen

    url = f"{loaded.settings.client.endpoint.rstrip('/')}/health"
    try:
        with urlopen(Request(url), timeout=10) as answer:  # noqa: S310 settings allow http and https only
            report = json.load(answer)
            status = str(report.get("status", ""))
    except HTTPError as error:
        status, report = ("DOWN", _report_of(error)) if error.code == 503 else (f"HTTP {error.code}", {})
    except (URLError, OSError, ValueError, AttributeError) as error:
        reason = str(getattr(error, "reason", error))
        if "CERTIFICATE_VERIFY_FAILED" in reason:
            reason += " (right would be SSL_CERT_FILE=FILE with the certificate of its authority)"
        elif url.startswith("http:") and isinstance(error, RemoteDisconnected):
            reason += " (if it speaks TLS, client.endpoint begins with https://)"
        raise Unavailable(f"no daemon answers at {url}: {reason}") from error
    sys.stdout.write(f"Status: {status}\n")
    for name, indicator in report.get("indicators", {}).items():
        reason = f" ({indicator['error']})" if "error" in indicator else ""
        sys.stdout.write(f"  {name}: {indicator.get('status', '')}{reason}\n")
    return 0 if status == "UP" else FAILED


def _report_of(answer: IO[bytes]) -> dict[str, Any]:
    """What a daemon that is DOWN says; nothing if it is something else that answers so."""
    import json

    try:
        report = json.load(answer)
    except (OSError, ValueError):
        return {}
    return report if isinstance(report, dict) and isinstance(report.get("indicators"), dict) else {}


if __name__ == "__main__":
    sys.exit(main())
