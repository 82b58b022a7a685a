"""What figures are called in words, in cards, reports and the leaderboard."""

MEANINGS = {  # where it is not the name in words
    "mean_squared_error": "mean squared error of reconstructions, pixels in [0, 1]",
    "psnr": "PSNR of reconstructions, dB",
    "ssim": "SSIM of reconstructions",
    "bits_per_dim": "bits per dimension",
    "nats_per_image": "-log p(x), nats per binary image",
    "likelihood_calibration": "bits per dimension that the last factor of four in importance samples gained",
    "frechet_distance": "Fréchet distance",
    "inception_score": "Inception score's formula",
    "cycle_error": "mean absolute error after translation there and back",
    "translation": "translations recognised as of the other kind",
    "identity": "distance of translations to their images, over that of two images",
    "confidence": "mean confidence in samples",
    "sample_accuracy": "samples recognised as the class asked for",
    "attribute_accuracy": "attributes recognised in samples as asked for",
    "ms_ssim": "MS-SSIM of pairs of samples",
    "memorisation": "samples nearer to one training image than 99 % of real images are",
    "path_length": "perceptual path length",
    "train_on_synthetic": "accuracy on real images after training on samples alone",
}
FAMOUS = {"frechet_distance": "FID", "kernel_distance": "KID", "inception_score": "Inception score"}


def title(metric: str) -> str:
    """The figure's name; a famous one only with the network that it stands for."""
    base, _, extractor = metric.partition("/")
    if extractor == "inception-2015" and base in FAMOUS:
        return FAMOUS[base]
    return MEANINGS.get(base, base.replace("_", " ")) + (f", by {extractor}" if extractor else "")
