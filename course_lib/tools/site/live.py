"""What the page "Draw your own teddies" loads: onnxruntime-web, the models, and a still for readers without scripts."""

import gzip
import shutil
import sys
from pathlib import Path

import torch
from PIL import Image

from course_lib import device as devices
from course_lib import text_to_image
from course_lib.notebook import pictures
from course_lib.tools.site import models
from course_lib.tools.site.links import SiteError

PACKAGE = Path(sys.prefix) / "npm" / "node_modules" / "onnxruntime-web" / "dist"
SCRIPTS = ("ort.wasm.bundle.min.mjs", "ort.webgpu.bundle.min.mjs")
RUNTIMES = ("ort-wasm-simd-threaded.wasm", "ort-wasm-simd-threaded.asyncify.wasm")  # with each script its own


def fill(folder: Path) -> None:
    """Write all of it into the folder of the page's scripts. Raises SiteError where onnxruntime-web is not installed."""
    if missing := [name for name in (*SCRIPTS, *RUNTIMES) if not (PACKAGE / name).is_file()]:
        raise SiteError(
            f"onnxruntime-web's {missing[0]} is not at {PACKAGE}. To fix it: run `make site`, which installs it in .venv."
        )
    for script in SCRIPTS:
        shutil.copy(PACKAGE / script, folder)
    for runtime in RUNTIMES:  # a quarter of its size, whether or not a server packs what it sends
        (folder / f"{runtime}.gz").write_bytes(gzip.compress((PACKAGE / runtime).read_bytes(), mtime=0))
    models.export(folder)
    _still().save(folder / "still.webp", quality=85)


def _still() -> Image.Image:
    """Four teddies of the same noise: above without guidance, below with it."""
    model = text_to_image.load(devices.find("cpu", "fp32"))
    images = torch.cat([model.generate(models.PROMPT, 4, scale, seed=1) for scale in (1.0, 3.0)])
    sheet = Image.fromarray(pictures.tile(images, columns=4, scale=1, gap=0))
    return sheet.resize((3 * sheet.width, 3 * sheet.height), Image.Resampling.BICUBIC)
