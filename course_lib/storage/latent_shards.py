"""The latents of a data set that is too large for memory: files of equal length, each written whole and with its sum.

    latent_store.encode(codec, images, n, folder)                      # images(first, stop) gives the pictures of these rows
    latent_store.encode(codec, images, n, folder, rank=3, world=8)     # the fourth of eight processes: its own files alone
    latents = latent_store.load(folder, 0, 100_000)                    # any rows, whatever files they lie in

What is there already and whole is kept, so a run that was cut off goes on where it stopped.
"""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from course_lib.codec import Codec, VAECodec, cache
from course_lib.storage import weights

ROWS = 50_000


def encode(
    codec: Codec,
    images: Callable[[int, int], Tensor],
    n: int,
    folder: str | Path,
    rows: int = ROWS,
    rank: int = 0,
    world: int = 1,
    dtype: torch.dtype | None = torch.bfloat16,
) -> list[Path]:
    """Encode the n pictures images(first, stop) [stop − first, C, H, W] into files of ``rows`` latents each; returns this
    process's files.

    rank, world: file k is written by process k mod world. dtype: of the stored latents; None keeps the codec's.
    Raises ValueError for fewer than one row or picture, a rank outside of the world, pictures of another number than asked
    for, or a folder that holds latents of other pictures, another codec or another division.
    """
    if n < 1 or rows < 1 or not 0 <= rank < world:
        raise ValueError(
            f"n is {n}, rows {rows}, rank {rank} and world {world}: give at least one picture and one row, and a rank from 0 "
            "to world - 1."
        )
    folder, of = Path(folder), identity(codec)
    done = []
    for number in range(rank, -(-n // rows), world):
        first, stop = number * rows, min((number + 1) * rows, n)
        card = {"n": n, "rows": rows, "codec": of, "first": first, "stop": stop}
        file = folder / f"latents_{number:06d}.safetensors"
        if not _whole(file, card):
            pictures = images(first, stop)
            if len(pictures) != stop - first:
                raise ValueError(f"images({first}, {stop}) gave {len(pictures)} pictures, {stop - first} were asked for.")
            weights.save(file, {"latents": cache(codec, pictures)}, card, dtype)
        done.append(file)
    return done


def load(folder: str | Path, first: int = 0, stop: int | None = None, device: torch.device | str | None = None) -> Tensor:
    """The latents of rows first … stop − 1 (None: to the end), [stop − first, c, h, w] in the stored dtype, sums checked.

    Raises ValueError where the folder holds none, where a file of these rows is missing, or where rows do not exist;
    CheckpointError where a file is truncated or altered.
    """
    folder = Path(folder)
    files = sorted(folder.glob("latents_*.safetensors"))
    if not files:
        raise ValueError(f"{folder} holds no latents: latent_store.encode writes them.")
    card = weights.load(files[0])[1]
    n, rows = card["n"], card["rows"]
    stop = n if stop is None else stop
    if not 0 <= first < stop <= n:
        raise ValueError(f"rows {first} to {stop} were asked for, but {folder} is for rows 0 to {n}.")
    parts = []
    for number in range(first // rows, -(-stop // rows)):
        file = folder / f"latents_{number:06d}.safetensors"
        if not file.exists():
            raise ValueError(f"{file} is missing: call latent_store.encode again, it makes what is not there.")
        latents = weights.load(file, device)[0]["latents"]
        start = number * rows
        parts.append(latents[max(first - start, 0) : stop - start])
    return torch.cat(parts)


def identity(codec: Codec) -> str:
    """What tells the latents of one codec from those of another: the sum of all its numbers, or its name where it has none."""
    if not isinstance(codec, VAECodec):
        return type(codec).__name__
    return weights.tensor_checksum({**codec.vae.state_dict(), "mean": codec.latents_mean, "std": codec.latents_std})


def _whole(file: Path, card: dict) -> bool:
    """Whether this file is there, whole, and of this card. A damaged one counts as missing; one of another card is refused."""
    if not file.exists():
        return False
    try:
        found = weights.load(file)[1]
    except weights.CheckpointError:
        return False
    if other := [name for name in card if found.get(name) != card[name]]:
        raise ValueError(
            f"{file} holds other latents: {other[0]} is {found.get(other[0])!r} there and {card[other[0]]!r} here. "
            "Delete the folder, or name another one."
        )
    return True
