"""PSNR of a denoiser on test images, beside a median filter, wavelets and non-local means, on the same noise.

Noise is Gaussian, neither clipped nor rounded, as usual for BSD68 and Set12 (Zhang et al. 2017); results are clipped.
The classical methods are scikit-image's, told the noise level, each with the settings that its documentation advises.

python tools/denoising.py --model=denoiser-bsd --folders=bsd68,set12 --output=denoising.json --picture=denoising.png
"""

import json
import time
from pathlib import Path

import numpy as np
from absl import app, flags

MODEL = flags.DEFINE_string("model", "denoiser-bsd", "zoo name, or checkpoint folder")
FOLDERS = flags.DEFINE_list("folders", None, "folders of gray images", required=True)
LEVELS = flags.DEFINE_list("levels", ["15", "25", "50"], "standard deviations of the noise, of 255")
OUTPUT = flags.DEFINE_string("output", None, "JSON file for the figures", required=True)
PICTURE = flags.DEFINE_string("picture", None, "PNG file: noisy, each method, clean")

SHOWN, SIDE, SHOWN_LEVEL = 3, 160, 25  # images of the picture, pixels of their crop, noise


def median(x, level):
    from scipy.ndimage import median_filter

    return median_filter(x, (1, 3, 3, 1) if level < 40 / 255 else (1, 5, 5, 1))


def wavelets(x, level):
    from skimage.restoration import denoise_wavelet

    return denoise_wavelet(x[0, ..., 0], sigma=level, method="BayesShrink", mode="soft", rescale_sigma=True)[
        None, ..., None
    ]


def non_local_means(x, level):
    from skimage.restoration import denoise_nl_means

    settings = {"patch_size": 5, "patch_distance": 6, "fast_mode": False, "sigma": level, "h": 0.6 * level}
    return denoise_nl_means(x[0, ..., 0], **settings)[None, ..., None]


def methods():
    import kerasgen

    model = kerasgen.load(MODEL.value)
    ours = {model.origin or MODEL.value: lambda x, level: model.denoise(x, level, verbose=0)}
    return {"median filter": median, "wavelets": wavelets, "non-local means": non_local_means} | ours


def main(_):
    from kerasgen import data, noise, pictures
    from kerasgen.metrics.denoising import noisy_psnr
    from kerasgen.training import hardware

    report = hardware.describe() | {"figures": {}}
    for folder in FOLDERS.value:
        images = data.load_whole(folder, "all", channels=1)
        for level in map(int, LEVELS.value):
            for name, method in methods().items():
                start = time.monotonic()
                values = noisy_psnr(images, method, level, seed=0)
                figure = {"psnr": float(values.mean()), "n": len(values), "seconds": time.monotonic() - start}
                report["figures"].setdefault(Path(folder).name, {}).setdefault(str(level), {})[name] = figure
                print(f"{Path(folder).name}, {level}, {name}: {figure['psnr']:.2f} dB", flush=True)
    Path(OUTPUT.value).write_text(json.dumps(report, indent=1) + "\n")
    if PICTURE.value:
        images = [image[:SIDE, :SIDE] for image in data.load_whole(FOLDERS.value[0], "all", channels=1, limit=SHOWN)]
        rows = []
        for index, image in enumerate(images):
            clean = image[None] / np.float32(255.0)
            noisy = clean + np.float32(SHOWN_LEVEL / 255) * noise.normal(index, index + 1, image.shape, 0)
            rows += [noisy, *(method(noisy, SHOWN_LEVEL / 255) for method in methods().values()), clean]
        grid = pictures.grid(np.clip(np.concatenate(rows), 0.0, 1.0), len(rows) // SHOWN)
        pictures.save_frames([grid], Path(PICTURE.value))


if __name__ == "__main__":
    app.run(main)
