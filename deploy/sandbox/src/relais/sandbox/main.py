"""`relais-sandbox`: the outside world, played by programs."""

import asyncio
import json
import signal
import ssl
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from relais.sandbox.configuration import ConfigurationWrong, SandboxConfiguration
from relais.sandbox.sink import run_sink

application = typer.Typer(no_args_is_help=True, add_completion=False, help="The outside world that Relais delivers to, played by programs.")


@application.command()
def serve(config: Annotated[Path, typer.Option(help="TOML file: ports, certificate, partners and their scripts.")]) -> None:
    """Play the partners of a configuration file until SIGTERM."""
    try:
        configuration = SandboxConfiguration(config)
    except (ConfigurationWrong, OSError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    uvloop.run(_serve(configuration))


@application.command()
def sink(
    certificate_file: Annotated[Path | None, typer.Option(help="PEM certificate; without it the sink speaks plain HTTP.")] = None,
    private_key_file: Annotated[Path | None, typer.Option(help="PEM private key of the certificate.")] = None,
    client_authority_file: Annotated[Path | None, typer.Option(help="PEM authority that callers' certificates must be signed by.")] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port of the sink; 0 chooses a free one.")] = 0,
    control_port: Annotated[int, typer.Option(help="Port on the loopback interface that says what arrived.")] = 0,
) -> None:
    """Receive as fast as one process can, verify nothing, count everything: the far end of a bench."""
    tls = None
    if certificate_file is not None:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(certificate_file, private_key_file)
        if client_authority_file is not None:
            tls.load_verify_locations(client_authority_file)
            tls.verify_mode = ssl.CERT_REQUIRED
    uvloop.run(run_sink(host, port, control_port, tls))


async def _serve(configuration: SandboxConfiguration) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    world = configuration.world
    await world.start(configuration.host, configuration.port, configuration.control_port, configuration.tls())
    typer.echo(json.dumps({"port": world.port, "control_port": world.control_port}))
    await stop.wait()
    await world.stop()


def main() -> None:
    """Entry point of the `relais-sandbox` command."""
    application()
