"""The latents of a data set that is too large for memory, in files of equal length, each written atomically with its checksum.

    latent_shards.encode(codec, images, n, folder)                     # images(first, stop) returns the images of these rows
    latent_shards.encode(codec, images, n, folder, rank=3, world=8)    # the fourth of eight processes: only its own files
    latents = latent_shards.load(folder, 0, 100_000)                   # any rows, across files

Intact files that exist already are not made again, so an interrupted run continues where it stopped.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from course_lib.arguments import check_integer, check_tensor
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
    """Encode the n images images(first, stop) [stop − first, C, H, W] into files of ``rows`` latents each; returns this
    process's files.

    rank, world: file k is written by process k mod world. dtype: of the stored latents; None keeps the codec's.
    Raises ValueError for fewer than one row or image, a rank outside of the world, another number of images than requested,
    or a folder that holds latents of other images, another codec or files of another length.
    """
    for name, value in {"n": n, "rows": rows, "rank": rank, "world": world}.items():
        check_integer(name, value)
    if n < 1 or rows < 1 or not 0 <= rank < world:
        raise ValueError(
            f"n is {n}, rows {rows}, rank {rank} and world {world}: give at least one image and one row, and a rank from 0 "
            "to world - 1."
        )
    folder = Path(folder)
    common = {"n": n, "rows": rows, "codec": codec_fingerprint(codec)}
    if not isinstance(codec, VAECodec):
        common["probe"] = _probe(codec, images(0, 1))
    done = []
    for number in range(rank, -(-n // rows), world):
        first, stop = number * rows, min((number + 1) * rows, n)
        metadata = {**common, "first": first, "stop": stop}
        file = _shard_file(folder, number)
        if not _is_intact(file, metadata):
            some = images(first, stop)
            check_tensor(f"images({first}, {stop})", some, "[B, C, H, W]")
            if len(some) != stop - first:
                raise ValueError(f"images({first}, {stop}) returned {len(some)} images, expected {stop - first}.")
            weights.save(file, {"latents": cache(codec, some)}, metadata, dtype)
        done.append(file)
    return done


def load(folder: str | Path, first: int = 0, stop: int | None = None, device: torch.device | str | None = None) -> Tensor:
    """Return the latents of rows first … stop − 1 (None: to the end), [stop − first, c, h, w] in the stored dtype.

    Checksums are verified. Raises ValueError where the folder holds no latents, where a file of these rows is missing or belongs
    to others (a copy, another codec's), or where rows do not exist; WeightsError where a file is truncated or altered.
    """
    folder = Path(folder)
    files = sorted(folder.glob("latents_*.safetensors"))
    if not files:
        raise ValueError(f"{folder} holds no latents: latent_shards.encode writes them.")
    metadata = weights.load(files[0])[1]
    if not {"n", "rows", "codec"} <= metadata.keys():
        raise ValueError(f"{files[0]} was not written by latent_shards.encode: give the folder that it wrote.")
    n, rows = metadata["n"], metadata["rows"]
    first, stop = check_integer("first", first), n if stop is None else check_integer("stop", stop)
    if not 0 <= first < stop <= n:
        raise ValueError(f"rows {first} to {stop} were requested, but {folder} is for rows 0 to {n}.")
    parts = []
    for number in range(first // rows, -(-stop // rows)):
        file = _shard_file(folder, number)
        if not file.exists():
            raise ValueError(f"{file} is missing: call latent_shards.encode again, it makes the files that are not there.")
        start = number * rows
        tensors, found = weights.load(file, device)
        expected = {"first": start, "stop": min(start + rows, n), **{key: metadata[key] for key in ("n", "rows", "codec")}}
        latents = tensors.get("latents", torch.empty(0))
        if _other(found, expected) or len(latents) != expected["stop"] - start:
            raise ValueError(
                f"{file} does not hold the latents of rows {start} to {expected['stop']} that {files[0].name} belongs to: delete "
                "it, and call latent_shards.encode again."
            )
        parts.append(latents[max(first - start, 0) : stop - start])
    return torch.cat(parts)


def codec_fingerprint(codec: Codec) -> str:
    """Return what distinguishes a VAECodec's latents from others, the checksum of its tensors; of another codec only its class.

    `encode` compares other codecs by what they make of the first image.
    """
    if not isinstance(codec, VAECodec):
        return type(codec).__name__
    return weights.tensor_checksum({**codec.vae.state_dict(), "mean": codec.latents_mean, "std": codec.latents_std})


def _probe(codec: Codec, image: Tensor) -> list[float] | None:
    """The first values of an image's latent; None for a codec that samples, which gives others each time."""
    first, second = (cache(codec, image).flatten()[:8].tolist() for _ in range(2))
    return first if first == second else None


def _other(found: dict[str, Any], expected: dict[str, Any]) -> list[str]:
    """The names of the metadata that differ; a probe may differ by rounding, as on another device."""

    def equal(name: str) -> bool:
        a, b = found.get(name), expected[name]
        if name == "probe" and a and b:
            return torch.allclose(torch.tensor(a), torch.tensor(b), rtol=0.02, atol=0.02)
        return a == b

    return [name for name in expected if not equal(name)]


def _shard_file(folder: Path, number: int) -> Path:
    return folder / f"latents_{number:06d}.safetensors"


def _is_intact(file: Path, metadata: dict[str, Any]) -> bool:
    """Whether this file exists undamaged with this metadata. Raises ValueError where it has other metadata."""
    if not file.exists():
        return False
    try:
        found = weights.load(file)[1]
    except weights.WeightsError:
        return False
    if other := _other(found, metadata):
        raise ValueError(
            f"{file} holds other latents: {other[0]} is {found.get(other[0])!r} there and {metadata[other[0]]!r} here. "
            "Delete the folder, or give another one."
        )
    return True
