"""`zapwire doctor`."""

from __future__ import annotations

from typing import Any

import click

from zapwire.cli.where import load, where
from zapwire.model.errors import StoreError


@click.command()
@where
def doctor(**options: Any) -> None:
    """Look whether everything is right: settings, key, sealing, database, auth files, network; changes nothing."""
    from zapwire.maintenance import doctor as looking  # noqa: PLC0415
    from zapwire.transport.whatsapp_web.engine.engine import library_path  # noqa: PLC0415

    faults = 0
    for finding in looking.examine(load(options), library_path()):
        click.echo(f"{finding.level.value:<8} {finding.text}")
        faults += finding.level is looking.Level.FAULT
    if faults:
        raise StoreError(f"{faults} fault{'s' if faults > 1 else ''}; see above")
