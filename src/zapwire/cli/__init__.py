"""The command line."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, NoReturn

import click

from zapwire import __version__, settings
from zapwire.cli import bots, keys, tokens
from zapwire.cli.doctor import doctor
from zapwire.cli.soak_report import soak_report
from zapwire.cli.where import FILE, where
from zapwire.model.errors import SettingsError, ZapwireError
from zapwire.runtime import hardening, log_setup
from zapwire.runtime.child_environment import for_children

_THE_MACHINES: Final = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.EIO}
)
"""A full or broken disk, no descriptor left: no internal error, and no traceback says more than the sentence."""


def main() -> NoReturn:
    """Run the command line; exits 2 for what is wrong with settings or options, 1 for other errors."""
    try:
        commands.main(prog_name="zapwire", standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except ZapwireError as error:
        wrong_setting = isinstance(error, SettingsError)
        where = f"{error.field}: " if error.field and not wrong_setting else ""
        click.echo(f"zapwire: {where}{error.detail}", err=True)
        sys.exit(2 if wrong_setting else 1)
    except OSError as error:
        if error.errno not in _THE_MACHINES:
            raise
        place = f": {error.filename}" if error.filename else ""
        click.echo(f"zapwire: {error.strerror}{place}", err=True)
        sys.exit(1)
    sys.exit(0)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(prog)s %(version)s")
def commands() -> None:
    """A self-hosted WhatsApp Web connector: bots, messages, events and webhooks."""


@commands.command()
@where
@click.option("--listen", metavar="HOST:PORT", help="Where to listen; port 0 picks a free one.")
@click.option("--whatsapp-server", type=FILE, help="Descriptor of another WhatsApp server.")
@click.option("--log-level", metavar="LEVEL", help="DEBUG, INFO, WARNING or ERROR.")
@click.option("--sandbox", is_flag=True, help="Start a sandbox and use it instead of WhatsApp: no phone needed.")
def serve(*, config: Path | None, sandbox: bool, **options: Any) -> None:
    """Run the daemon until SIGTERM or Ctrl-C. Every setting is listed by `zapwire settings`."""
    from zapwire.transport.whatsapp_web.network.server_override import (  # noqa: PLC0415
        ensure_engine_environment,
        ensure_environment,
    )

    ensure_engine_environment()
    # imported here because the engine takes half a second
    from zapwire.daemon import app  # noqa: PLC0415
    from zapwire.daemon.dev_sandbox import own_sandbox  # noqa: PLC0415

    process = None
    with ExitStack() as stack:
        chosen = settings.load(options, config)
        if not chosen.core_dumps:
            hardening.refuse_core_dumps()
        if sandbox:
            if chosen.whatsapp_server is not None:
                raise SettingsError("--sandbox and whatsapp_server exclude each other", field="whatsapp_server")
            if "sessions_dir" not in chosen.model_fields_set:
                chosen = settings.load({**options, "sessions_dir": settings.SANDBOX_SESSIONS_DIR}, config)
            process, descriptor = stack.enter_context(own_sandbox(chosen.sessions_dir))
            chosen = chosen.model_copy(update={"whatsapp_server": descriptor})
        log_setup.configure(chosen.log_level, chosen.log_format)
        _warn_of_mistakes()
        if chosen.whatsapp_server is not None:
            ensure_environment(chosen.whatsapp_server)
        app.serve(chosen, _say, sandbox=process)


@commands.command()
@click.option("--listen", metavar="HOST:PORT", default="127.0.0.1:0", show_default=True, help="Where to listen.")
@click.option("--state", type=FILE, help="File that keeps accounts and devices over restarts.")
@click.option("--pairing-seconds", metavar="N", type=float, help="When an unscanned client is cut off; 160 by default.")
@click.option("--phone", metavar="NUMBER=NAME", multiple=True, help="A virtual phone from the start; repeatable.")
def sandbox(listen: str, state: Path | None, pairing_seconds: float | None, phone: tuple[str, ...]) -> None:
    """Run a loopback WhatsApp with virtual phones; prints one JSON line that says where it is."""
    arguments = ["--listen", listen, *(["--state", str(state)] if state else [])]
    arguments += ["--pairing-seconds", str(pairing_seconds)] if pairing_seconds is not None else []
    arguments += [word for person in phone for word in ("--phone", person)]
    # its own program: the sandbox and the daemon import nothing of each other
    environment = for_children(os.environ, network=False)
    os.execve(sys.executable, [sys.executable, "-m", "zapwire.sandbox", *arguments], environment)  # noqa: S606


@commands.command("settings")
def show_settings() -> None:
    """Print every setting with its environment variable, its default and what it does."""
    for name, default, sentence in settings.table():
        click.echo(f"{settings.PREFIX}{name.upper()}  (in TOML: {name})  default: {default or 'none'}\n    {sentence}")


commands.add_command(tokens.token)
commands.add_command(keys.key)
commands.add_command(bots.bot)
commands.add_command(doctor)
commands.add_command(soak_report)


def _warn_of_mistakes() -> None:
    for name in settings.unknown_variables():
        click.echo(f"zapwire: the environment variable {name} is no setting; `zapwire settings` lists all", err=True)


def _say(line: str) -> None:
    click.echo(line)
    sys.stdout.flush()
