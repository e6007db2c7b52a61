"""`zapwire soak-report`."""

from __future__ import annotations

from typing import Any

import click

from zapwire.cli.where import existing, where


@click.command("soak-report")
@where
@click.option("--json", "as_json", is_flag=True, help="As JSON instead of Markdown.")
def soak_report(*, as_json: bool, **options: Any) -> None:
    """Print what happened to the bots, as metrics that can be shared: no phone numbers, names, ids or texts."""
    from zapwire.maintenance import soak_report as reporting  # noqa: PLC0415
    from zapwire.transport.whatsapp_web.engine.build_date import built_on  # noqa: PLC0415
    from zapwire.transport.whatsapp_web.engine.engine import library_path  # noqa: PLC0415
    from zapwire.transport.whatsapp_web.engine.private import builds  # noqa: PLC0415

    report = reporting.make(existing(options), builds.VERSION, built_on(library_path()))
    click.echo(reporting.as_json(report) if as_json else reporting.as_markdown(report), nl=as_json)
