"""The command ``course``. A subcommand imports what it needs when it runs, so ``course --help`` answers at once."""

import inspect
import io
import os
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

cli = typer.Typer(
    help="Latent Space & Guidance: the workbook's own tools.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _checked_seed(seed: int) -> int:
    from course_lib.arguments import check_integer
    from course_lib.training.config import MAX_SEED

    return check_integer("--seed", seed, 0, MAX_SEED)


def _checked_seconds(seconds: float | None) -> float | None:
    from course_lib.arguments import check_number

    return seconds if seconds is None else check_number("--seconds", seconds, above=0)


def _checked_scale(scale: float) -> float:
    from course_lib.arguments import check_number

    return check_number("--scale", scale)


def _checked_file(out: Path | None) -> Path | None:
    """The file of a result, tried before the work that makes it."""
    from course_lib.storage import atomic

    if out is not None:
        atomic.check_writable(out)
    return out


def _checked_result(out: Path | None) -> Path | None:
    """The file of a measurement: by default one under data/results."""
    from course_lib.storage import paths

    _checked_file(out or paths.data_dir() / "results" / "new.json")
    return out


@cli.command()
def data() -> None:
    """List the shipped data and verify every checksum; exit code 1 when a file is missing, truncated or altered."""
    from course_lib.storage import shipped

    rows = shipped.verify()
    for row in rows:
        print(f"{row.status:9}  {row.bytes / 1e6:7.2f} MB  {row.licence:12}  {row.path}")
    wrong = [row for row in rows if row.status != "ok"]
    for row in wrong:
        print(f"\ndata/{row.path} is {row.status}: {row.detail}. To fix it: {row.fix}", file=sys.stderr)
    if wrong:
        raise typer.Exit(1)
    print(f"{len(rows)} files, {sum(row.bytes for row in rows) / 1e6:.1f} MB, every checksum as listed.")


@cli.command()
def train(
    recipe: Annotated[str | None, typer.Argument(help="Its name, from --list.")] = None,
    list_: Annotated[bool, typer.Option("--list", help="Name the recipes, and say what each one makes.")] = False,
    seconds: Annotated[
        float | None, typer.Option(callback=_checked_seconds, help="Train for this long, instead of for a number of steps.")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Number of training steps; default: the recipe's.")] = None,
    seed: Annotated[int, typer.Option(callback=_checked_seed, help="Seed of weights, data order and noise.")] = 0,
    out: Annotated[Path | None, typer.Option(help="The file of the trained weights; .safetensors is appended.")] = None,
    devices: Annotated[int, typer.Option(min=1, help="GPUs in each machine (without one: processes).")] = 1,
    nodes: Annotated[int, typer.Option(min=1, help="Machines; start the same command on each.")] = 1,
    strategy: Annotated[str, typer.Option(help="ddp: each device holds the full network; fsdp: a part of it.")] = "auto",
    shards: Annotated[int | None, typer.Option(min=1, help="Parts of a batch; the run is the same on as many devices.")] = None,
) -> None:
    """Train one of the workbook's models by its recipe."""
    from course_lib import device, recipes
    from course_lib.storage import weights

    if list_ or recipe is None:
        for name, entry in recipes.RECIPES.items():
            print(f"{name}\n    {_first_line(entry.train)}")
        return
    if recipe not in recipes.RECIPES:
        raise ValueError(f"there is no recipe {recipe!r}; choose from {', '.join(recipes.RECIPES)}")
    options = recipes.RunOptions(
        seed=seed, steps=steps, max_seconds=seconds, devices=devices, nodes=nodes, strategy=strategy, shards=shards
    )
    entry = recipes.RECIPES[recipe]
    result = entry.train(out=out, options=options)
    if device.is_main_process():
        print(f"{result}: {weights.file_name(out or entry.file)}")


def _first_line(function: Callable) -> str:
    return (inspect.getdoc(function) or "").splitlines()[0]


measure = typer.Typer(help="Repeat a long measurement that a chapter reads from data/results/.", no_args_is_help=True)
cli.add_typer(measure, name="measure")

Steps = Annotated[int | None, typer.Option(min=1, help="Training steps of each network; default: as stored.")]
Seconds = Annotated[float, typer.Option(callback=_checked_seconds, help="Seconds of training for each side.")]
Samples = Annotated[int, typer.Option("--samples", min=2, help="Images generated for each score.")]
Seed = Annotated[int, typer.Option(callback=_checked_seed, help="Seed of weights, data order and noise.")]
Out = Annotated[Path | None, typer.Option(callback=_checked_result, help="The file to write; default: the shipped one.")]


@measure.command("bottlenecks")
def measure_bottlenecks(steps: Steps = None, seed: Seed = 0, out: Out = None) -> None:
    """Reconstruction quality of autoencoders with bottlenecks of several sizes (chapter 2)."""
    from course_lib.experiments.ch2_autoencoder import bottlenecks

    print(bottlenecks.measure_bottlenecks(steps, seed, out))


@measure.command("teddy-bottlenecks")
def measure_teddy_bottlenecks(steps: Steps = None, seed: Seed = 0, out: Out = None) -> None:
    """What a reader reads from teddies after bottlenecks of several sizes and trainings of several lengths (chapter 2)."""
    from course_lib.experiments.ch2_autoencoder import teddy_bottlenecks

    print(teddy_bottlenecks.measure_teddy_bottlenecks(steps, seed, out))


@measure.command("latent-map")
def measure_latent_map(steps: Steps = None, seed: Seed = 0, out: Out = None) -> None:
    """Maps of a VAE's latent space of two dimensions at several betas (chapter 3)."""
    from course_lib.experiments import latent_map

    print(latent_map.measure_latent_map(steps, seed, out))


@measure.command("latent-space")
def measure_latent_space(steps: Steps = None, seed: Seed = 0, out: Out = None) -> None:
    """What a prior does to five latent spaces, over three seeds (chapter 3)."""
    from course_lib.experiments.ch3_vae import prior_effects

    print(prior_effects.measure_latent_space(steps, seed, out))


@measure.command("rate-distortion")
def measure_rate_distortion(steps: Steps = None, seed: Seed = 0, out: Out = None) -> None:
    """Rate and distortion of VAEs over beta (chapter 3)."""
    from course_lib.experiments.ch3_vae import rate_distortion

    print(rate_distortion.measure_rate_distortion(steps or rate_distortion.STEPS, seed, out))


@measure.command("predictions")
def measure_predictions(steps: Steps = None, seed: Seed = 0, out: Out = None) -> None:
    """Sample quality of networks that predict eps, x0 or v (chapter 4)."""
    from course_lib.experiments.ch4_latent_ddpm import prediction_types

    print(prediction_types.measure(steps, seed, out))


@measure.command("flow-matching")
def measure_flow_matching(steps: Steps = None, seed: Seed = 0, out: Out = None) -> None:
    """Sample quality of a latent denoiser trained by flow matching and as v (chapter 4)."""
    from course_lib.experiments.ch4_latent_ddpm import flow_matching

    print(flow_matching.measure(steps, seed, out))


@measure.command("target-dimension")
def measure_target_dimension(steps: Steps = None, seed: Seed = 0, out: Out = None) -> None:
    """Networks that predict x0, v or eps of a spiral in 2 to 512 dimensions (chapter 4)."""
    from course_lib.experiments.ch4_latent_ddpm import target_dimension

    print(target_dimension.measure(steps, seed, out))


@measure.command("units")
def measure_units(steps: Steps = None, seed: Seed = 0, out: Out = None) -> None:
    """What a wrong unit of the latents costs, and why (chapter 4)."""
    from course_lib.experiments.ch4_latent_ddpm import units

    print(units.measure(steps, seed, out))


@measure.command("sample-check")
def measure_sample_check(samples: Samples = 10_000, seed: Seed = 0, out: Out = None) -> None:
    """Distances of samples from the training images; their quality with floors (chapter 4)."""
    from course_lib.experiments.ch4_latent_ddpm import sample_check

    print(sample_check.measure(samples, seed, out))


@measure.command("pixel-targets")
def measure_pixel_targets(seconds: Seconds = 90.0, seed: Seed = 0, out: Out = None) -> None:
    """Models of pixels in equal seconds: transformers on patches that predict x0 or v, and the UNet (notebook 10)."""
    from course_lib.experiments.ch4_latent_ddpm import pixel_targets

    print(pixel_targets.measure(seconds, seed, out))


@measure.command("sampler-steps")
def measure_sampler_steps(samples: Samples = 1000, out: Out = None) -> None:
    """Sample quality of each sampler over its number of steps (chapter 4)."""
    from course_lib.experiments.ch4_latent_ddpm import sampler_steps

    print(sampler_steps.measure(samples, out))


@measure.command("pixel-vs-latent")
def measure_pixel_vs_latent(seconds: Seconds = 180.0, seed: Seed = 0, out: Out = None) -> None:
    """Diffusion in pixels and in latents after equal time of training (chapter 4). Nothing else may run on the machine."""
    from course_lib.experiments.ch4_latent_ddpm import equal_time

    print(equal_time.measure(seconds, seed, out))


@measure.command("matched-quality")
def measure_matched_quality(seconds: Seconds = 180.0, seed: Seed = 0, out: Out = None, samples: Samples = 1000) -> None:
    """Time of training until diffusion in pixels is as good as in latents (chapter 4). Nothing else may run on the machine."""
    from course_lib.experiments.ch4_latent_ddpm import equal_quality

    print(equal_quality.measure(seconds, seed, out, samples))


@measure.command("frontier")
def measure_frontier(samples: Samples = 1000, seed: Seed = 0, out: Out = None) -> None:
    """What methods of guidance buy and cost, at equal steps and at equal network calls (chapter 5)."""
    from course_lib.experiments.ch5_guidance import stored_frontier

    print(stored_frontier.measure(samples, seed, out))


@measure.command("prompt-steps")
def measure_prompt_steps(samples: Samples = 128, seed: Seed = 0, out: Out = None) -> None:
    """How often teddies follow their prompts, over guidance scales and solver steps (chapter 5)."""
    from course_lib.experiments.ch5_guidance import prompt_steps

    print(prompt_steps.measure(samples, seed, out))


@measure.command("words-training")
def measure_words_training(steps: Steps = None, seed: Seed = 0, out: Out = None) -> None:
    """What denoisers given words or factors draw after few steps of training (notebook 7)."""
    from course_lib.experiments.ch7_words import budgets

    print(budgets.measure_words_training(steps, seed, out))


@measure.command("word-order")
def measure_word_order(steps: Steps = None, seed: Seed = 0, out: Out = None) -> None:
    """When a contrastive pair reads the order of the words (notebook 7)."""
    from course_lib.experiments.ch7_words import order

    print(order.measure_word_order(steps, seed, out))


@measure.command("latents")
def measure_latents(steps: Steps = None, seed: Seed = 0, out: Out = None) -> None:
    """Which latents are best to generate in: twenty-odd ways of making them, one denoiser each (notebook 12). It resumes."""
    from course_lib.experiments.ch12_latents import comparison

    print(comparison.measure(steps, seed, out))


@measure.command("fewer-calls")
def measure_fewer_calls(steps: Steps = None, seed: Seed = 0, out: Out = None) -> None:
    """Guidance in one call, and few steps by progressive distillation (notebook 13). It resumes."""
    from course_lib.experiments.ch13_fewer_calls import stored

    print(stored.measure(steps, seed, out))


@measure.command("readme-picture")
def measure_readme_picture(seed: Seed = 0, out: Out = None) -> None:
    """The picture at the top of the README."""
    from course_lib.experiments import readme_picture

    print(readme_picture.draw_readme_picture(seed, out))


@cli.command()
def sample(
    caption: Annotated[str, typer.Argument(help='What to draw, as "two brown teddy bears reading at night".')],
    out: Annotated[Path, typer.Option(callback=_checked_file, help="The PNG to write.")] = Path("teddies.png"),
    n: Annotated[int, typer.Option("--number", "-n", min=1, max=1000, help="How many pictures.")] = 16,
    scale: Annotated[float, typer.Option(callback=_checked_scale, help="Guidance scale; 1 means no guidance.")] = 3.0,
    steps: Annotated[int, typer.Option(min=1, max=1000, help="Steps of the sampler.")] = 20,
    seed: Annotated[int, typer.Option(callback=_checked_seed, help="Seed of the initial noise.")] = 0,
    negative: Annotated[str, typer.Option(help="A caption of what is not wanted.")] = "",
) -> None:
    """Draw teddies that a caption describes, as one sheet of pictures, about as wide as high."""
    import math

    from tqdm import tqdm

    from course_lib import teddies, text_to_image
    from course_lib.notebook import pictures
    from course_lib.storage import atomic

    if out.suffix.lower() != ".png":
        raise ValueError(f"--out is {out}, but the sheet is a PNG: give a name that ends in .png.")
    for text in (caption, negative):
        teddies.parse_caption(text)  # an unknown word is reported before the networks are loaded
    with tqdm(total=steps, unit="step", desc="drawing", leave=False) as bar:
        images = text_to_image.load().generate(caption, n, scale, steps, seed, negative, callback=lambda *_: bar.update())
    atomic.write_atomically(out, pictures.encode(pictures.tile(images, math.ceil(math.sqrt(n)), scale=2)))
    print(out)


@cli.command()
def bench(
    parts: Annotated[list[str] | None, typer.Argument(help="Which parts; omit for all. An unknown name prints the list.")] = None,
    out: Annotated[Path | None, typer.Option(help="Where RESULTS.md goes; default: benchmarks/.")] = None,
) -> None:
    """Measure this machine: training steps, samplers and recipes, compared with other libraries (an hour on two cores)."""
    import subprocess

    from course_lib.storage.paths import ROOT

    if out:
        _checked_file(out / "RESULTS.md")
    options = ["--out", str(out.resolve())] if out else []
    command = [sys.executable, "-m", "benchmarks", *(parts or []), *options]
    raise typer.Exit(subprocess.run(command, cwd=ROOT, check=False).returncode)


@cli.command()
def notebooks(
    names: Annotated[list[str] | None, typer.Argument(help="Which ones, for example 03_vae or 3; omit for all.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Only compare the notebooks with their sources.")] = False,
) -> None:
    """Execute notebooks/source/*.py into notebooks/*.ipynb, each from a clean kernel; stop at the first that fails.

    The seconds and the machine of each run go into notebooks/timings.json and into the README's table.
    """
    from course_lib.tools import build_notebooks

    if check:
        if problems := build_notebooks.check(names):
            raise ValueError("\n".join(problems))
        print("Every notebook matches its source.")
        return
    from course_lib import device
    from course_lib.tools import chapter_table

    machine = device.find()
    for source in build_notebooks.sources(names):
        built = build_notebooks.build(source)
        chapter_table.record(built, machine.device.type, str(machine))
        print(built, flush=True)


@cli.command()
def site(
    out: Annotated[Path | None, typer.Option(help="The folder of the site, which is replaced; default: build/site.")] = None,
) -> None:
    """Build the workbook as a static site from the stored notebooks; nothing is executed."""
    from course_lib.tools.site import builder

    print(builder.build(out or builder.SITE))


@cli.command()
def export(
    folder: Annotated[Path, typer.Argument(help="Where the files go; it is made.")],
) -> None:
    """Export the Teddies' denoiser and decoder and chapter 3's decoder as ONNX files, which need no Python."""
    from course_lib.tools.site import models

    for file in models.export(folder):
        print(f"{file}: {file.stat().st_size / 1e6:.2f} MB")


homework = typer.Typer(help="Make the homework's files from their sources.", no_args_is_help=True)
cli.add_typer(homework, name="homework")


@homework.command("build")
def homework_build(
    names: Annotated[list[str] | None, typer.Argument(help="Which ones, for example hw3 or 3; omit for all.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Only compare the students' files with their sources.")] = False,
) -> None:
    """Execute notebooks/source/homework/*.py: the student's files into notebooks/homework, the solved into build/homework."""
    from course_lib.tools import build_homework as works

    if check:
        if problems := works.check():
            raise ValueError("\n".join(problems))
        print("Every homework matches its source.")
        return
    for source in works.sources(names):
        for solved in (False, True):
            print(works.build(source, solved), flush=True)


@homework.command("release")
def homework_release(folder: Annotated[Path, typer.Argument(help="A new folder for the kit.")]) -> None:
    """Write the workbook as students get it: everything that is committed, but no solution."""
    from course_lib.tools import build_homework as works

    print(f"{len(works.release(folder))} files in {folder}; no solved notebook and no rubric among them.")


@homework.command("gradescope")
def homework_gradescope(
    name: Annotated[str, typer.Argument(help="The homework, for example hw3.")],
    out: Annotated[Path, typer.Option(help="The zip archive to write.")],
    secret: Annotated[Path | None, typer.Option(help="Your secret; by default .grading-secret in the workbook.")] = None,
) -> None:
    """Make an autograder for Gradescope: a zip archive to upload under Configure Autograder."""
    from course_lib.homework.grading import grade as grading
    from course_lib.homework.grading.gradescope import make_autograder

    _checked_file(out)
    make_autograder(name, out, grading.read_secret(secret or grading.SECRET))
    print(f"{out}: upload it to Gradescope under Configure Autograder.")


@cli.command()
def grade(
    submissions: Annotated[Path, typer.Argument(help="The folder, or zip archive, in which the submissions lie.")],
    out: Annotated[Path, typer.Option(help="Where the tables and the pages go.")],
    homework: Annotated[str | None, typer.Option(help="Grade only this one, for example hw3.")] = None,
    secret: Annotated[Path | None, typer.Option(help="Your secret; by default .grading-secret in the workbook.")] = None,
    roster: Annotated[Path | None, typer.Option(help="The list of students, as Canvas or Moodle exports it.")] = None,
    deadline: Annotated[datetime | None, typer.Option(help="For example 2026-11-30T23:59, in this computer's time zone.")] = None,
    best: Annotated[bool, typer.Option("--best", help="Of several attempts the best one counts, not the newest.")] = False,
    closed_book: Annotated[bool, typer.Option("--closed-book", help="Programs cannot import the chapters' blocks.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Grade also what has not changed since the last run.")] = False,
    gradescope: Annotated[Path | None, typer.Option(help="Write the results of one submission for Gradescope, too.")] = None,
    unsafe: Annotated[bool, typer.Option("--unsafe-no-sandbox", help="Run strangers' programs with all your rights.")] = False,
) -> None:
    """Grade a folder of submissions, each in a sandbox: tables, a page for each student, pages for reading, and a summary."""
    from course_lib.homework.checks import HOMEWORKS
    from course_lib.homework.grading import grade as grading
    from course_lib.homework.grading.gradescope import write_for_gradescope
    from course_lib.homework.grading.reports import marks, pages
    from course_lib.homework.grading.reports.store import Store
    from course_lib.homework.grading.submissions.roster import Roster, read_roster
    from course_lib.tools.build_homework import questions

    _checked_file(out / "grades.csv")
    pages.check_place(out)
    marks.read_marks(out)  # a mistake in them is reported before the grading, not after
    people, store = read_roster(roster) if roster else Roster(), Store(out / "results")
    file = secret or grading.SECRET
    options = grading.Options(
        homework=homework, safe=not unsafe, best=best, closed_book=closed_book, again=again, roster=people,
        deadline=deadline.timestamp() if deadline else None,
    )  # fmt: skip
    graded = grading.grade(submissions, HOMEWORKS, lambda: grading.read_secret(file), store, options)
    unused = pages.write_results(store.read(graded), out, people, questions())
    if gradescope:
        write_for_gradescope(graded, gradescope)
    for mark in unused:
        print(f"{mark.where}: this mark fits no submission; names are spelled as in grades.csv.")
    count = sum(not one.found.extra for one in graded)
    print(f"{count} submissions: {out / 'grades.csv'}, {out / 'gradebook.csv'} and {out / 'index.html'}.")


@cli.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def lab(context: typer.Context) -> None:
    """Open JupyterLab at the start page; further options go to JupyterLab (for example --no-browser)."""
    from course_lib.tools import lab as jupyter

    jupyter.main(context.args)


def app() -> None:
    """Run the command line. What the user can fix is one sentence and exit code 2; COURSE_DEBUG=1 shows it all."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # an old console or a log may lack a letter: that must not end a command
            stream.reconfigure(errors="replace")
    try:
        cli()
    except (ValueError, TypeError, OSError) as error:
        if os.environ.get("COURSE_DEBUG") or (isinstance(error, TypeError) and not _is_ours(error)):
            raise
        print(f"course: {_sentence(error)}", file=sys.stderr)
        raise SystemExit(2) from None


def _is_ours(error: BaseException) -> bool:
    """Whether a check of the library's own raised this, rather than a mistake in it."""
    traceback = error.__traceback__
    while traceback and traceback.tb_next:
        traceback = traceback.tb_next
    return traceback is not None and traceback.tb_frame.f_globals.get("__name__") == "course_lib.arguments"


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}." if error.filename else f"{error.strerror}."
    return str(error)


if __name__ == "__main__":
    app()
