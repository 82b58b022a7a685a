"""Bytes of compressed images, ours beside those of the usual files, in the same run.

Lossless: all images of the split in one stream of ours, headers in, beside one stream by zstd, bz2 and xz over all
pixels, and PNG, WebP and JPEG XL of one picture of all images, side by side, and of each alone.
Lossy: rate (from bytes) against PSNR and SSIM of VQVAEs, beside JPEG, WebP, AVIF and JPEG XL of the one picture, which
is kinder to them than a file an image.

python tools/rates.py --lossless=bits-back-mnist --dataset=mnist --output=lossless.json
python tools/rates.py --lossy=vqvae-fashion-mnist --dataset=fashion_mnist --output=lossy.json
"""

import bz2
import contextlib
import io
import json
import lzma
import math
import time
from pathlib import Path

import numpy as np
from absl import app, flags
from PIL import Image, features

LOSSLESS = flags.DEFINE_list("lossless", [], "models that compress without loss")
LOSSY = flags.DEFINE_list("lossy", [], "models that compress with loss")
DATASET = flags.DEFINE_string("dataset", None, "as for kerasgen.data.load", required=True)
SPLIT = flags.DEFINE_string("split", "test", "of the data set")
LIMIT = flags.DEFINE_integer("limit", None, "the first so many images")
OUTPUT = flags.DEFINE_string("output", None, "JSON file for the figures", required=True)

QUALITIES = (1, 3, 5, 8, 10, 15, 20, 25, 30, 40, 50, 60, 70)


def side_by_side(images):
    """One picture of all images, as square as their number allows, and the way back."""
    num, height, width, channels = images.shape
    columns = max(c for c in range(1, math.isqrt(num) + 1) if num % c == 0)
    rows = num // columns

    def apart(picture):
        cells = picture.reshape(rows, height, columns, width, channels)
        return cells.swapaxes(1, 2).reshape(images.shape)

    return images.reshape(rows, columns, height, width, channels).swapaxes(1, 2).reshape(
        rows * height, -1, channels
    ), apart


def to_image(picture):
    return Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture)


def encoded(image, form, **settings):
    file = io.BytesIO()
    image.save(file, form, **settings)
    return file.getvalue()


def formats():
    """Those that Pillow writes here, with what makes each small, for lossless and lossy files."""
    with contextlib.suppress(ImportError):
        import pillow_jxl  # noqa: F401, which registers the format
    Image.init()
    found = {"PNG": ({"optimize": True}, None), "JPEG": (None, {"optimize": True})}
    if features.check("webp"):
        found["WEBP"] = ({"lossless": True, "quality": 100, "method": 6}, {"method": 6})
    if features.check("avif"):
        found["AVIF"] = (None, {"speed": 2})
    if "JXL" in Image.SAVE:
        found["JXL"] = ({"lossless": True, "effort": 9}, {"effort": 9})
    return found


def lossless(images, model, report):
    start = time.monotonic()
    data = model.compress(images)
    middle = time.monotonic()
    if not np.array_equal(model.decompress(data), images):
        raise RuntimeError("images did not come back as they were")
    bound = float(model.bits_per_dim(images, num_importance_samples=1, seed=0).mean())
    seconds = [middle - start, time.monotonic() - middle]
    report[model.origin] = {"bytes": len(data), "bound_bits_per_dim": bound, "seconds": seconds}


def usual_lossless(images, report):
    import zstandard

    raw, (picture, _) = images.tobytes(), side_by_side(images)
    report["zstd"] = {"bytes": len(zstandard.ZstdCompressor(level=22).compress(raw))}
    report["bz2"] = {"bytes": len(bz2.compress(raw, 9))}
    report["xz"] = {"bytes": len(lzma.compress(raw, preset=9 | lzma.PRESET_EXTREME))}
    for form, (settings, _) in formats().items():
        if settings is not None:
            report[f"{form}, one picture"] = {"bytes": len(encoded(to_image(picture), form, **settings))}
            report[f"{form}, a file an image"] = {
                "bytes": sum(len(encoded(to_image(x), form, **settings)) for x in images)
            }


def quality(images, found):
    from kerasgen import metrics

    return {"psnr": float(metrics.psnr(images, found).mean()), "ssim": float(metrics.ssim(images, found).mean())}


def usual_lossy(images, report):
    picture, apart = side_by_side(images)
    for form, (_, settings) in formats().items():
        for q in QUALITIES if settings is not None else ():
            data = encoded(to_image(picture), form, quality=q, **settings)
            found = np.asarray(Image.open(io.BytesIO(data)).convert("L" if images.shape[-1] == 1 else "RGB"))
            report[f"{form}, quality {q}"] = {"bytes": len(data)} | quality(images, apart(found.reshape(picture.shape)))


def main(_):
    import kerasgen
    from kerasgen.training import hardware

    images, _ = kerasgen.data.load_arrays(DATASET.value, SPLIT.value, labels=False, limit=LIMIT.value)
    figures = {}
    for name in LOSSLESS.value:
        lossless(images, kerasgen.load(name), figures)
    for name in LOSSY.value:
        model = kerasgen.load(name)
        data = model.compress(images)
        figures[model.origin] = {"bytes": len(data)} | quality(images, model.decompress(data))
    if LOSSLESS.value:
        usual_lossless(images, figures)
    if LOSSY.value:
        usual_lossy(images, figures)
    pixels = images.size // images.shape[-1]
    for name, figure in figures.items():
        figure |= {"bits_per_pixel": 8 * figure["bytes"] / pixels, "bits_per_dim": 8 * figure["bytes"] / images.size}
        shown = ", ".join(f"{key} {value:.4g}" for key, value in figure.items() if isinstance(value, (int, float)))
        print(f"{name}: {shown}")
    report = hardware.describe() | {
        "dataset": DATASET.value,
        "split": SPLIT.value,
        "n": len(images),
        "figures": figures,
    }
    Path(OUTPUT.value).write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    app.run(main)
