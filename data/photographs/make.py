"""Remake the three photographs of this folder from Debian's package lomiri-wallpapers-16.04 (20.04.0-2).

    apt-get download lomiri-wallpapers-16.04 && dpkg-deb -x lomiri-wallpapers-16.04_*.deb /tmp/wallpapers
    python data/photographs/make.py /tmp/wallpapers/usr/share/backgrounds

Each is a square of the original, shrunk to 1024 x 1024 by area averaging, which averages away the original's JPEG artefacts, and
stored as WebP of quality 95: 43 dB or more from the shrunk square, in a quarter of the bytes of lossless WebP.
"""

import sys
from pathlib import Path

from PIL import Image

SIDE = 1024
SQUARES = {  # name -> original, and where the square lies horizontally (0 left, 0.5 centre)
    "dandelions": ("seeding_by_Clements_Engelhardt.jpg", 0.0),
    "dogs": ("friends_by_Aitzol_Berasategi.jpg", 0.5),
    "mountains": ("picosdeeuropa_by_Aitzol_Berasategi.jpg", 0.5),
}


def main(originals: Path, out: Path) -> None:
    for name, (file, across) in SQUARES.items():
        with Image.open(originals / file) as image:
            side = min(image.size)
            left, top = int((image.width - side) * across), (image.height - side) // 2
            square = image.resize((SIDE, SIDE), Image.Resampling.BOX, box=(left, top, left + side, top + side))
            square.save(out / f"{name}.webp", quality=95, method=6)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else Path(__file__).parent)
