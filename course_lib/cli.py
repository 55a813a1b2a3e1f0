"""The command ``course``. A subcommand imports what it needs when it runs, so that ``course --help`` answers at once."""

import os
import sys
from typing import Annotated

import typer

cli = typer.Typer(no_args_is_help=True, add_completion=False, help="Latent Space & Guidance: the workbook's own tools.")


@cli.command()
def notebooks(
    names: Annotated[list[str] | None, typer.Argument(help="Which ones, as 03_vae or 3; none means all.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Only compare the notebooks with their sources.")] = False,
) -> None:
    """Execute notebooks/source/*.py into notebooks/*.ipynb, each from a clean kernel."""
    from course_lib import notebooks as book

    if check:
        if problems := book.check(names):
            raise ValueError("\n".join(problems))
        print("Every notebook is what its source says.")
        return
    for source in book.sources(names):
        print(book.build(source), flush=True)


@cli.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def lab(context: typer.Context) -> None:
    """Open JupyterLab at the start page; further options go to JupyterLab (for example --no-browser)."""
    from course_lib import lab as jupyter

    jupyter.main(context.args)


def app() -> None:
    """Run the command line. What the user can mend is said in one sentence, exit code 2; COURSE_DEBUG=1 shows it all."""
    try:
        cli()
    except (ValueError, FileNotFoundError) as error:
        if os.environ.get("COURSE_DEBUG"):
            raise
        print(f"course: {error}", file=sys.stderr)
        raise SystemExit(2) from None
