"""`zapwire key`: the master key, under which everything secret is sealed. No command shows the key that is in use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from zapwire.cli.where import FILE, load, where
from zapwire.model.errors import SettingsError, StoreError
from zapwire.settings import Settings


@click.group()
def key() -> None:
    """The master key: look, make, change, check."""


@key.command("status")
@where
def status(**options: Any) -> None:
    """Say where the master key is and what is sealed with it."""
    from zapwire.maintenance import master_key  # noqa: PLC0415
    from zapwire.runtime import instance_lock  # noqa: PLC0415
    from zapwire.store.sqlite import encryption  # noqa: PLC0415

    chosen = load(options)
    source = master_key.find(chosen)
    if source is None:
        click.echo("master key   none yet: the first start makes one")
    else:
        names = ", then ".join(one.fingerprint for one in source.keys)
        place = f", {source.file}" if source.file else ""
        click.echo(f"master key   {names} ({source.origin.value}{place})")
        if source.warning:
            click.echo(f"             {source.warning}")
        if len(source.keys) > 1:
            click.echo("             a rotation is not finished: stop the daemon and run `zapwire key rotate`")
    click.echo(f"database     {encryption.fingerprint(chosen.database_file) or 'none, or not sealed yet'}")
    for line in _auth_files(chosen):
        click.echo(f"auth files   {line}")
    running = instance_lock.holder(chosen.sessions_dir)
    click.echo(f"running      {running or 'nothing'}")


@key.command("generate")
@click.option("--out", type=FILE, help="Write it to this file (mode 0600), which must not exist.")
def generate(out: Path | None) -> None:
    """Make a master key and print it, or keep it in a file."""
    from zapwire.vault import sources  # noqa: PLC0415
    from zapwire.vault.keys import KeyRing, MasterKey  # noqa: PLC0415

    made = MasterKey.generate()
    if out is None:
        click.echo(made.text())
        return
    if out.exists():
        raise SettingsError(f"{out} exists; a key is never overwritten", field="out")
    try:
        sources.write(out, KeyRing(made))
    except sources.KeyUnavailable as error:
        raise SettingsError(str(error), field="out") from None
    click.echo(f"{made.fingerprint} in {out}", err=True)


@key.command("rotate")
@where
def rotate(**options: Any) -> None:
    """Seal everything with a new key; the daemon must not run. Interrupted, it is finished by the next call."""
    from zapwire.maintenance import key_rotation  # noqa: PLC0415
    from zapwire.transport.whatsapp_web.engine.engine import library_path  # noqa: PLC0415

    report = key_rotation.rotate(load(options), library_path(), lambda done: click.echo(done, err=True))
    click.echo(
        f"sealed with {report.fingerprint}: {report.auth_files} auth files, {report.values} values of the database"
    )
    if report.by_hand:
        click.echo("now leave only the first key where the two were given")
    if report.left:
        raise StoreError(
            f"the old key is kept, as these files do not open: {'; '.join(report.left)}. Restore them, or delete "
            "their bots, and run this again"
        )


@key.command("verify")
@where
def verify(**options: Any) -> None:
    """Open everything that is sealed, and say what does not open; the daemon must not run."""
    from zapwire.maintenance import key_verify as verifying  # noqa: PLC0415
    from zapwire.transport.whatsapp_web.engine.engine import library_path  # noqa: PLC0415

    checked, faults = verifying.verify(load(options), library_path())
    for fault in faults:
        click.echo(fault)
    if faults:
        raise StoreError(f"{len(faults)} of what is sealed cannot be opened or is not whole")
    click.echo(f"all of it opens: the database and {checked} auth files")


def _auth_files(chosen: Settings) -> list[str]:
    from zapwire.maintenance import key_verify as verifying  # noqa: PLC0415

    counts = verifying.look(chosen)
    return [f"{count} {what}" for what, count in counts.items()] or ["none"]
