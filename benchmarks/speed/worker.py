"""One library in a process of its own, timed on request: `python worker.py LIBRARY FOLDER`.

LIBRARY is "ours" or "imagecorruptions" (the released one or its fork, whichever is installed);
FOLDER is what pictures.py wrote. A line of JSON comes in for every measurement and one goes out.
Times are processor time of the whole process, all its threads together, in milliseconds.
"""

import json
import sys
import time
import warnings
from collections.abc import Callable
from importlib import import_module, metadata
from io import BytesIO
from pathlib import Path
from typing import Any, TextIO

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, features

Corrupt = Callable[[NDArray[np.uint8], str, int], NDArray[np.uint8]]


def ours() -> tuple[Corrupt, str]:
    """This project's corruptions, and their version."""
    corruptions: Any = import_module("corruptions")
    seeds = iter(range(10**9))

    def corrupt(picture: NDArray[np.uint8], name: str, severity: int) -> NDArray[np.uint8]:
        corrupted: NDArray[np.uint8] = corruptions.corrupt(
            picture, name, severity, rng=np.random.default_rng(next(seeds))
        )
        return corrupted

    return corrupt, f"cvgl-bench {metadata.version('cvgl-bench')}"


def theirs() -> tuple[Corrupt, str]:
    """The library imagecorruptions or its fork, and its version."""
    warnings.simplefilter("ignore")
    library: Any = import_module("imagecorruptions")
    try:
        version = f"imagecorruptions {metadata.version('imagecorruptions')}"
        _keep_multichannel()
    except metadata.PackageNotFoundError:
        version = f"imagecorruptions-imaug {metadata.version('imagecorruptions-imaug')}"
    np.random.seed(0)  # noqa: NPY002, it knows no other

    def corrupt(picture: NDArray[np.uint8], name: str, severity: int) -> NDArray[np.uint8]:
        corrupted: NDArray[np.uint8] = library.corrupt(picture, severity, name)
        return corrupted

    return corrupt, version


def _keep_multichannel() -> None:
    """Give glass_blur the argument of scikit-image's gaussian that version 0.20 dropped."""
    gaussian = import_module("skimage.filters").gaussian

    def replacement(values: Any, sigma: float, multichannel: bool = False) -> Any:  # noqa: ANN401
        return gaussian(values, sigma=sigma, channel_axis=-1 if multichannel else None)

    vars(import_module("imagecorruptions.corruptions"))["gaussian"] = replacement


def encode(picture: NDArray[np.uint8]) -> None:
    """Write a JPEG file of quality 75, as published sets have it, to memory, by Pillow."""
    Image.fromarray(picture).save(BytesIO(), "JPEG", quality=75)


def encode_ours(picture: NDArray[np.uint8]) -> None:
    """The same file by this project's default codec."""
    import_module("corruptions").PILLOW.encode(picture, 75)


def milliseconds(call: Callable[..., Any], *arguments: object) -> tuple[float, Any]:
    """Processor time of a call, and its result."""
    start = time.process_time()
    result = call(*arguments)
    return (time.process_time() - start) * 1000, result


def decode(data: bytes) -> NDArray[np.uint8]:
    """The pixels of a JPEG file."""
    return np.array(Image.open(BytesIO(data)))


def measure(request: dict[str, Any], corrupt: Corrupt, folder: Path) -> dict[str, list[float]]:
    """Times of one cell, or of decoding, once a repeat.

    A request names `size`, `repeats` and, for a cell, `name` and `severity`; `rows` cuts the
    picture off below, and `encode` asks for the times of writing the result as well.
    """
    result: dict[str, list[float]] = {"corrupt": [], "encode": [], "encode_ours": [], "decode": []}
    if "name" not in request:
        data = (folder / f"{request['size']}.jpg").read_bytes()
        for _ in range(request["repeats"]):
            spent, _picture = milliseconds(decode, data)
            result["decode"].append(spent)
        return result
    picture = np.load(folder / f"{request['size']}.npy")[: request.get("rows")]
    for _ in range(request["repeats"]):
        cell = (request["name"], request["severity"])
        spent, corrupted = milliseconds(corrupt, picture, *cell)
        result["corrupt"].append(spent)
        if request.get("encode"):
            for encoder in (encode, encode_ours):
                spent, _ = milliseconds(encoder, corrupted)
                result[encoder.__name__].append(spent)
    return result


def main() -> None:
    """Answer requests until the input ends; the first line out says what is installed."""
    answers: TextIO = sys.stdout
    sys.stdout = sys.stderr  # libraries that print must not disturb the answers
    cv2.setNumThreads(1)
    spent, (corrupt, version) = milliseconds(ours if sys.argv[1] == "ours" else theirs)
    packages = {name: metadata.version(name) for name in ("numpy", "pillow")}
    turbo = features.version("libjpeg_turbo")
    stack = f"numpy {packages['numpy']}, OpenCV {cv2.__version__}, Pillow {packages['pillow']}"
    hello = {"version": version, "stack": f"{stack} (libjpeg-turbo {turbo})", "import": spent}
    print(json.dumps(hello), file=answers, flush=True)
    for line in sys.stdin:
        print(
            json.dumps(measure(json.loads(line), corrupt, Path(sys.argv[2]))),
            file=answers,
            flush=True,
        )


if __name__ == "__main__":
    main()
