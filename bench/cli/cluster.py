"""`bench cluster`."""

from typing import Annotated

import typer

from bench.cli.options import App, out, say

app = App(no_args_is_help=True, help="Start and end this machine's part of a Ray cluster.")


@app.command()
def up(
    join: Annotated[
        str | None,
        typer.Option(help="HOST:PORT of the cluster's first machine.", show_default="this machine is the first"),
    ] = None,
    host: Annotated[
        str | None,
        typer.Option(help="This machine's address in the network of the others.", show_default="127.0.0.1 alone"),
    ] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the first machine.")] = 6379,
    num_cpus: Annotated[int | None, typer.Option(min=0, help="Processors to use.", show_default="all")] = None,
    num_gpus: Annotated[int | None, typer.Option(min=0, help="GPUs to use.", show_default="all")] = None,
) -> None:
    """Start a cluster, or join one; other machines need its token (~/.ray/auth_token)."""
    from bench.runner import cluster

    say(out, cluster.up(cluster.Machine(host=host, join=join, port=port, cpus=num_cpus, gpus=num_gpus)))


@app.command()
def down() -> None:
    """End every process of Ray on this machine."""
    from bench.runner import cluster

    cluster.down()


@app.command()
def status(
    address: Annotated[
        str | None, typer.Option(help="HOST:PORT of the first machine.", show_default="RAY_ADDRESS, or this cluster")
    ] = None,
) -> None:
    """Show the cluster's machines and what is in use."""
    from bench.runner import cluster

    out.print(cluster.status(address), markup=False, highlight=False)
