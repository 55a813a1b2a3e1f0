"""The command ``course``. A subcommand imports what it needs when it runs, so ``course --help`` answers at once."""

import inspect
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

cli = typer.Typer(
    help="Latent Space & Guidance: the workbook's own tools.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@cli.command()
def data() -> None:
    """List the shipped data and verify every sum; exit code 1 when a file is missing, cut short or altered."""
    from course_lib.storage import shipped

    rows = shipped.verify()
    for row in rows:
        print(f"{row.status:9}  {row.bytes / 1e6:7.2f} MB  {row.licence:12}  {row.path}")
    wrong = [row for row in rows if row.status != "ok"]
    for row in wrong:
        print(f"\ndata/{row.path} is {row.status}: {row.detail}. Mend it: {row.mend}", file=sys.stderr)
    if wrong:
        raise typer.Exit(1)
    print(f"{len(rows)} files, {sum(row.bytes for row in rows) / 1e6:.1f} MB, every sum as listed.")


@cli.command()
def train(
    recipe: Annotated[str | None, typer.Argument(help="Its name, from --list.")] = None,
    list_: Annotated[bool, typer.Option("--list", help="Name the recipes, and say what each one makes.")] = False,
    seconds: Annotated[float | None, typer.Option(help="Train for so long.")] = None,
    steps: Annotated[int | None, typer.Option(help="Train for so many steps.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of weights, data order and noise.")] = None,
    out: Annotated[Path | None, typer.Option(help="Where the trained weights go.")] = None,
    devices: Annotated[int | None, typer.Option(help="GPUs in each machine (without one: processes).")] = None,
    nodes: Annotated[int | None, typer.Option(help="Machines; start the same command on each.")] = None,
    strategy: Annotated[str | None, typer.Option(help="ddp: each holds the whole network; fsdp: a share of it.")] = None,
    shards: Annotated[int | None, typer.Option(help="Parts of a batch; the run is the same on as many devices.")] = None,
) -> None:
    """Train one of the workbook's models. What is not given is as the recipe has it."""
    from course_lib import device, recipes
    from course_lib.experiments import readme_picture
    from course_lib.experiments.ch2_autoencoder import bottlenecks
    from course_lib.experiments.ch3_vae import rate_distortion
    from course_lib.experiments.ch4_latent_ddpm import equal_quality, equal_time, prediction_types, sampler_steps

    measured = {
        "bottlenecks": bottlenecks.measure,
        "rate-distortion": rate_distortion.measure,
        "pixel-vs-latent": equal_time.measure,
        "matched-quality": equal_quality.measure,
        "predictions": prediction_types.measure,
        "sampler-steps": sampler_steps.measure,
    }
    known = {**recipes.RECIPES, **measured, "readme-picture": readme_picture.draw}
    if list_ or recipe is None:
        for name, function in known.items():
            print(f"{name}\n    {inspect.getdoc(function).splitlines()[0]}")
        return
    if recipe not in known:
        raise ValueError(f"there is no recipe {recipe!r}; choose from {', '.join(known)}")
    given = {"seconds": seconds, "steps": steps, "seed": seed, "out": out}
    given |= {"devices": devices, "nodes": nodes, "strategy": strategy, "shards": shards}
    given = {name: value for name, value in given.items() if value is not None}
    parameters = inspect.signature(known[recipe]).parameters
    takes = given if "options" in parameters else list(parameters)  # **options: the recipe passes them on
    if unknown := [name for name in given if name not in takes]:
        raise ValueError(f"recipe {recipe} takes no --{unknown[0]}; it takes {', '.join(takes)}")
    result = known[recipe](**given)
    if result is not None and device.is_main_process():
        print(result)


@cli.command()
def sample(
    caption: Annotated[str, typer.Argument(help='What to draw, as "two brown teddy bears reading at night".')],
    out: Annotated[Path, typer.Option(help="The PNG to write.")] = Path("teddies.png"),
    n: Annotated[int, typer.Option("--number", "-n", min=1, max=1000, help="How many pictures.")] = 16,
    scale: Annotated[float, typer.Option(help="Of guidance; 1 is none.")] = 3.0,
    steps: Annotated[int, typer.Option(help="Of the sampler.")] = 20,
    seed: Annotated[int, typer.Option(help="Of the noise that it starts from.")] = 0,
    negative: Annotated[str, typer.Option(help="A caption of what is not wanted.")] = "",
) -> None:
    """Draw teddies that a caption describes, as one sheet of pictures."""
    from tqdm import tqdm

    from course_lib import teddies, text_to_image
    from course_lib.notebook import pictures
    from course_lib.storage import atomic

    if out.suffix.lower() != ".png":
        raise ValueError(f"--out is {out}, but the sheet is a PNG: give a name that ends in .png.")
    for text in (caption, negative):
        teddies.parse(text)  # a wrong word is told before the networks are loaded
    with tqdm(total=steps, unit="step", desc="drawing", leave=False) as bar:
        images = text_to_image.load().draw(caption, n, scale, steps, seed, negative, callback=lambda *_: bar.update())
    atomic.write_whole(out, pictures.encode(pictures.tile(images, scale=2)))
    print(out)


@cli.command()
def bench(
    parts: Annotated[list[str] | None, typer.Argument(help="Which ones; none means all. A wrong name lists them.")] = None,
    out: Annotated[Path | None, typer.Option(help="Where RESULTS.md goes; default: benchmarks/.")] = None,
) -> None:
    """Measure this machine: training steps, samplers and recipes beside other libraries' (an hour on two cores)."""
    import subprocess

    from course_lib.storage.paths import ROOT

    options = ["--out", str(out.resolve())] if out else []
    command = [sys.executable, "-m", "benchmarks", *(parts or []), *options]
    raise typer.Exit(subprocess.run(command, cwd=ROOT, check=False).returncode)


@cli.command()
def notebooks(
    names: Annotated[list[str] | None, typer.Argument(help="Which ones, as 03_vae or 3; none means all.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Only compare the notebooks with their sources.")] = False,
    record: Annotated[bool, typer.Option("--record", help="Keep the times, and put them into the README.")] = False,
) -> None:
    """Execute notebooks/source/*.py into notebooks/*.ipynb, each from a clean kernel; stop at the first that fails."""
    from course_lib.tools import build_notebooks as book

    if check:
        if problems := book.check(names):
            raise ValueError("\n".join(problems))
        print("Every notebook is what its source says.")
        return
    built = []
    for source in book.sources(names):
        built.append(book.build(source))
        print(built[-1], flush=True)
    if record:
        from course_lib import device

        machine = device.find()
        book.record(built, machine.device.type, str(machine))


homework = typer.Typer(help="Make the homework's files from their sources.", no_args_is_help=True)
cli.add_typer(homework, name="homework")


@homework.command("build")
def homework_build(
    names: Annotated[list[str] | None, typer.Argument(help="Which ones, as hw3 or 3; none means all.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Only compare the students' files with their sources.")] = False,
) -> None:
    """Execute notebooks/source/homework/*.py: the student's files into notebooks/homework, the solved into build/homework."""
    from course_lib.tools import build_homework as works

    if check:
        if problems := works.check():
            raise ValueError("\n".join(problems))
        print("Every homework is what its source says.")
        return
    for source in works.sources(names):
        for solved in (False, True):
            print(works.build(source, solved), flush=True)


@homework.command("release")
def homework_release(folder: Annotated[Path, typer.Argument(help="A new folder for the kit.")]) -> None:
    """Write the workbook as students get it: everything that is committed, but no solution."""
    from course_lib.tools import build_homework as works

    print(f"{len(works.release(folder))} files in {folder}; no solution among them.")


@cli.command()
def grade(
    submissions: Annotated[Path, typer.Argument(help="The folder in which the submissions lie.")],
    out: Annotated[Path, typer.Option(help="Where grades.csv and the pages go.")],
    homework: Annotated[str | None, typer.Option(help="Grade this one alone, as hw3.")] = None,
    secret: Annotated[Path | None, typer.Option(help="Your secret; by default .grading-secret in the workbook.")] = None,
    unsafe: Annotated[bool, typer.Option("--unsafe-no-sandbox", help="Run strangers' programs with all your rights.")] = False,
) -> None:
    """Grade a folder of submissions, each in a sandbox: a CSV, a page for each student and a summary."""
    from course_lib.homework.grading import grade as grading

    options = {"secret_file": secret} if secret else {}
    graded = grading.grade(submissions, out, homework, safe=not unsafe, **options)
    print(f"{len(graded)} submissions: {out / 'grades.csv'} and {out / 'index.html'}.")


@cli.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def lab(context: typer.Context) -> None:
    """Open JupyterLab at the start page; further options go to JupyterLab (for example --no-browser)."""
    from course_lib.tools import lab as jupyter

    jupyter.main(context.args)


def app() -> None:
    """Run the command line. What the user can mend is one sentence and exit code 2; COURSE_DEBUG=1 shows it all."""
    try:
        cli()
    except (ValueError, FileNotFoundError) as error:
        if os.environ.get("COURSE_DEBUG"):
            raise
        print(f"course: {error}", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    app()
