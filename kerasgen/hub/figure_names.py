"""What figures are called in words, in cards, reports and the leaderboard."""

MEANINGS = {  # where it is not the name in words
    "mean_squared_error": "mean squared error of reconstructions, pixels in [0, 1]",
    "psnr": "PSNR of reconstructions, dB",
    "ssim": "SSIM of reconstructions",
    "bits_per_dim": "bits per dimension",
    "bits_per_second": "bits a second, of all compressed sounds in one stream",
    "bits_per_pixel": "bits a pixel, of all compressed images in one stream",
    "codebook_usage": "share of the codes that are used",
    "denoising_psnr": "PSNR after denoising, dB",
    "auroc": "AUROC",
    "false_positive_rate": "normal examples above the threshold",
    "true_positive_rate": "anomalous examples above the threshold",
    "nats_per_image": "-log p(x), nats per binary image",
    "nats_per_token": "-log p(x), nats a token",
    "nats_per_step": "-log p(x), nats a step of all voices",
    "bits_per_char": "bits a character",
    "longest_copy": "tokens in a row that are in a training sequence, too, at most",
    "repetition": "share of eight tokens in a row that came before",
    "valid": "samples that are molecules",
    "valid_unique": "samples that are molecules, each counted once",
    "valid_unique_novel": "of these those that are no training example",
    "novelty": "samples that are no training example",
    "distinct": "samples that differ from all others",
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
    "forecast_error": "squared error of a forecast frame, summed over pixels in [0, 1]",
    "forecast_ssim": "SSIM of forecast frames",
    "frechet_distance_of_frames": "Fréchet distance of single frames",
    "centroid_speed": "speed of the centre of brightness, pixels a frame",
    "centroid_acceleration": "its acceleration between reflections, pixels a frame squared",
    "content_kept": "videos whose first and last frames show the same",
    "train_on_synthetic": "accuracy on real images after training on samples alone",
}
FAMOUS = {"frechet_distance": "FID", "kernel_distance": "KID", "inception_score": "Inception score"}


def title(metric: str) -> str:
    """The figure's name; a famous one only with the network that it stands for."""
    base, _, extractor = metric.partition("/")
    if extractor == "inception-2015" and base in FAMOUS:
        return FAMOUS[base]
    name = MEANINGS.get(base, base.replace("_", " "))
    if extractor.isdigit():
        return f"{name}, noise of {extractor} / 255"
    return name + (f", by {extractor}" if extractor else "")
