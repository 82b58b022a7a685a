"""Small wrong changes of formulas, each of which a test must catch: whether the tests can fail.

python tools/mutants.py                               # all of them, one at a time, on a copy of the tree
python tools/mutants.py --only guidance --jobs 2      # those with the word in their file, text or test
python tools/mutants.py --output mutants.json         # the table as JSON, too

Exits with 1 if a change survives, or cannot be tried: its text is not in its file exactly once, or its tests fail
without it.
"""

import compileall
import json
import os
import py_compile
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import h5py  # noqa: F401
import keras  # noqa: F401
import pytest
import scipy.stats  # noqa: F401
from absl import app, flags

ROOT = Path(__file__).resolve().parents[1]
OPTIONS = ("-n0", "-q", "-x", "-p", "no:cacheprovider", "--no-header")
TESTS_FAILED, ALL_PASSED = 1, 0  # exit statuses of pytest


class Mutant(NamedTuple):
    """One change, of a file below kerasgen/, and the test below tests/ that must fail then."""

    file: str
    old: str
    new: str
    test: str

    @property
    def path(self) -> Path:
        return Path("kerasgen", self.file)

    def applied_to(self, text: str) -> str:
        """The changed text of the file. Raises `ValueError`: what is to be changed is not there exactly once."""
        if (count := text.count(self.old)) != 1:
            raise ValueError(f"{self.path} has {self.old!r} {count} times; expected once.")
        return text.replace(self.old, self.new)


DIFFUSION = "diffusion/test_settings_matter.py::test_"
SAMPLERS = "diffusion/samplers/test_gaussian.py::test_"
IDEAL = "diffusion/test_ideal_denoiser.py::test_"
VAE = "autoencoders/test_variational_autoencoder.py::test_"
BIJECTORS = "flows/bijectors/test_bijectors.py::test_"
IMPORTS = "importers/test_diffusers.py::test_"
GANS = "gans/test_gan.py::test_"
GAN_SETTINGS = "gans/test_settings_matter.py::test_"
METRICS = "metrics/test_metrics.py::test_"
CHECKPOINTS = "checkpoints/test_checkpoint.py::test_"
TRAINING = "training/test_settings_matter.py::test_"
KNOWS = DIFFUSION + "a_network_that_knows_costs_nothing_and_draws_what_it_knows"

MUTANTS = (
    # Diffusion: guidance, labels, weights, targets
    Mutant(
        "diffusion/denoiser.py",
        "x0 = unconditional + guidance *",
        "x0 = conditional + guidance *",
        DIFFUSION + "guidance_goes_on_from_the_untold",
    ),
    Mutant(
        "diffusion/denoiser.py",
        ">= self.label_dropout\n",
        ">= 0.0\n",
        DIFFUSION + "labels_are_dropped_in_training_alone",
    ),
    Mutant(
        "diffusion/denoiser.py",
        "self.drop_labels(one_hot) if training else one_hot",
        "self.drop_labels(one_hot)",
        DIFFUSION + "labels_are_dropped_in_training_alone",
    ),
    Mutant(
        "diffusion/diffusion_model.py",
        "wanted = ops.minimum(snr, self.min_snr_gamma) if",
        "wanted = snr if",
        DIFFUSION + "weights_of_levels",
    ),
    Mutant(
        "diffusion/diffusion_model.py",
        'if self.loss_weighting == "min_snr" else snr + 1.0',
        'if self.loss_weighting == "min_snr" else snr',
        DIFFUSION + "weights_of_levels",
    ),
    Mutant("diffusion/diffusion_model.py", '"v": snr + 1.0}', '"v": snr}', DIFFUSION + "weights_of_levels"),
    Mutant(
        "diffusion/diffusion_model.py",
        "self.error_weights(alpha, sigma) * mean_of_each",
        "mean_of_each",
        DIFFUSION + "weights_of_levels",
    ),
    Mutant(
        "diffusion/diffusion_model.py",
        '"v": wide_alpha * e - wide_sigma * x0',
        '"v": wide_alpha * e + wide_sigma * x0',
        KNOWS,
    ),
    Mutant(
        "diffusion/diffusion_model.py", "return alpha * x - sigma * output", "return alpha * x + sigma * output", KNOWS
    ),
    Mutant("diffusion/diffusion_model.py", "return (x - sigma * output) /", "return (x + sigma * output) /", KNOWS),
    Mutant("diffusion/flow_matching.py", "return x + sigma * output", "return x - sigma * output", KNOWS),
    Mutant("diffusion/flow_matching.py", "ops.square(output - (x0 - e))", "ops.square(output - (e - x0))", KNOWS),
    Mutant("diffusion/flow_matching.py", "x = (1.0 - wide) * x0 + wide * e", "x = wide * x0 + (1.0 - wide) * e", KNOWS),
    Mutant(
        "diffusion/flow_matching.py",
        "return ops.sigmoid(self.normal((num,)))",
        "return self.uniform((num,))",
        DIFFUSION + "times_of_flow_matching",
    ),
    Mutant(
        "diffusion/flow_matching.py",
        "ops.maximum(self.expand(time / 1000.0), LEAST_NOISE)",
        "self.expand(time / 1000.0)",
        "diffusion/test_diffusion.py::test_flow_matching_of_a_network_that_says_x0",
    ),
    Mutant(
        "diffusion/flow_matching.py",
        "cost = -inner / ops.maximum(ops.std(inner), 1e-12)",
        "cost = inner / ops.std(inner)",
        "diffusion/test_diffusion.py::test_transport_pairs_near_noise",
    ),
    Mutant(
        "diffusion/sampling.py",
        "x = self.solve(numbers.temperature * z,",
        "x = self.solve(z,",
        DIFFUSION + "temperature_scales_the_noise",
    ),
    # Schedules, spacings, samplers
    Mutant("diffusion/schedules.py", "9.95 * t * t)", "19.9 * t * t)", DIFFUSION + "schedules_are_those_of_the_papers"),
    Mutant(
        "diffusion/schedules.py", "    s = 0.008\n", "    s = 0.08\n", DIFFUSION + "schedules_are_those_of_the_papers"
    ),
    Mutant(
        "diffusion/schedules.py",
        "np.linspace(0.1, 20.0, num_steps)",
        "np.linspace(0.1, 10.0, num_steps)",
        DIFFUSION + "schedules_are_those_of_the_papers",
    ),
    Mutant(
        "diffusion/schedules.py",
        "np.minimum(betas, 0.999)",
        "np.minimum(betas, 0.9)",
        DIFFUSION + "schedules_are_those_of_the_papers",
    ),
    Mutant(
        "diffusion/schedules.py",
        "(alpha - alpha[-1]) * alpha[0] / (alpha[0] - alpha[-1])",
        "alpha - alpha[-1]",
        DIFFUSION + "schedules_are_those_of_the_papers",
    ),
    Mutant("diffusion/samplers/spacings.py", ".astype(int) - 1", ".astype(int) - 2", DIFFUSION + "spacings"),
    Mutant("diffusion/samplers/spacings.py", "steps) ** rho", "steps) ** 2", DIFFUSION + "spacings"),
    Mutant(
        "diffusion/samplers/ddim.py",
        "np.sqrt(sigma[1:] ** 2 - noise**2)",
        "sigma[1:]",
        SAMPLERS + "moments_of_sde_samplers",
    ),
    Mutant(
        "diffusion/samplers/ddpm.py",
        "posterior = beta * sigma[1:] ** 2 / sigma[:-1] ** 2",
        "posterior = 4.0 * beta * sigma[1:] ** 2 / sigma[:-1] ** 2",
        SAMPLERS + "moments_of_sde_samplers",
    ),
    Mutant(
        "diffusion/samplers/dpm_solver.py",
        "h[1:] / (2.0 * h[:-1])",
        "h[1:] / h[:-1]",
        SAMPLERS + "order_of_ode_samplers",
    ),
    Mutant(
        "diffusion/samplers/dpm_solver.py",
        "sigma[1:] * np.sqrt(gain) if self.sde",
        "sigma[1:] * gain if self.sde",
        SAMPLERS + "moments_of_sde_samplers",
    ),
    Mutant(
        "diffusion/samplers/heun.py", "half = 0.5 * np.diff(s)", "half = np.diff(s)", SAMPLERS + "order_of_ode_samplers"
    ),
    Mutant("diffusion/samplers/uni_pc.py", "b1, b2 = _phi(h)", "b2, b1 = _phi(h)", SAMPLERS + "order_of_ode_samplers"),
    # Likelihoods
    Mutant("diffusion/likelihood.py", "weight = 0.5 * (", "weight = 1.0 * (", IDEAL + "variational_bound[discrete]"),
    Mutant(
        "diffusion/likelihood.py",
        "s**2 - 1.0 - 2.0 * math.log(s)",
        "s**2 - 2.0 * math.log(s)",
        IDEAL + "variational_bound[linear]",
    ),
    Mutant("diffusion/likelihood.py", "std * math.sqrt(3.0) / math.pi", "std", IDEAL + "variational_bound[discrete]"),
    Mutant(
        "diffusion/likelihood.py",
        "model.num_dims - sum_of_each(product * v)",
        "model.num_dims + sum_of_each(product * v)",
        IDEAL + "ode_likelihood_is_exact[flow]",
    ),
    Mutant(
        "diffusion/likelihood.py",
        "width = 2.0 / (255.0 * self.sigma_data)",
        "width = 2.0 / 255.0",
        IDEAL + "ode_likelihood_is_exact[edm]",
    ),
    Mutant(
        "base/likelihood.py",
        "(self.num_dims * math.log(2.0))",
        "self.num_dims",
        IDEAL + "ode_likelihood_is_exact[flow]",
    ),
    # VAEs
    Mutant(
        "autoencoders/variational_autoencoder.py",
        "kl = 0.5 * (ops.square(mean)",
        "kl = 1.0 * (ops.square(mean)",
        VAE + "loss_is_the_bound_by_its_definition",
    ),
    Mutant(
        "autoencoders/variational_autoencoder.py",
        "ops.stop_gradient(total / num) > free_bits",
        "ops.stop_gradient(total / num) > 0.0",
        VAE + "loss_is_the_bound_by_its_definition",
    ),
    Mutant(
        "autoencoders/variational_autoencoder.py",
        'ops.minimum(1.0, (ops.cast(steps_trained, "float32") + 1.0) /',
        'ops.minimum(1.0, ops.cast(steps_trained, "float32") /',
        VAE + "loss_is_the_bound_by_its_definition",
    ),
    Mutant(
        "autoencoders/variational_autoencoder.py",
        "z = mean + ops.exp(0.5 * log_variance) * self.normal",
        "z = mean + ops.exp(log_variance) * self.normal",
        "autoencoders/test_settings_matter.py",
    ),
    Mutant(
        "autoencoders/variational_autoencoder.py",
        "return log_sum - math.log(num_importance_samples)",
        "return log_sum",
        VAE + "importance_weights_in_chunks",
    ),
    Mutant(
        "autoencoders/variational_autoencoder.py",
        'ops.arange(CHUNK, dtype="int32") < num_importance_samples',
        'ops.arange(CHUNK, dtype="int32") <= num_importance_samples',
        VAE + "importance_weights_in_chunks",
    ),
    Mutant(
        "autoencoders/variational_autoencoder.py",
        "ops.square(eps) - ops.square(z) + log_variance[:, None]",
        "ops.square(eps) - ops.square(z)",
        VAE + "importance_weights_in_chunks",
    ),
    Mutant(
        "autoencoders/variational_autoencoder.py",
        "-self.num_dims * math.log(256.0)",
        "-self.num_dims * math.log(255.0)",
        VAE + "bits_per_dim_of_a_density_counts_the_bins",
    ),
    Mutant(
        "autoencoders/distributions.py",
        "half = 0.5 / 255.0",
        "half = 0.5 / 256.0",
        VAE + "discretized_logistic_against_scipy_and_sums_to_one",
    ),
    Mutant(
        "autoencoders/distributions.py",
        "(1.0 - x) * ops.log_sigmoid(-outputs)",
        "ops.log_sigmoid(-outputs)",
        VAE + "bernoulli_is_the_mean_over_binarisations",
    ),
    Mutant(
        "autoencoders/autoencoder.py",
        "0.5 * self.latent_penalty",
        "self.latent_penalty",
        "autoencoders/test_autoencoder.py::test_loss_is_the_squared_error_and_the_penalty",
    ),
    Mutant(
        "autoencoders/mixture.py",
        "log_weight - log_det - 0.5",
        "log_weight + log_det - 0.5",
        "autoencoders/test_autoencoder.py::test_mixture_against_scikit_learn",
    ),
    # Flows
    Mutant(
        "flows/flow.py",
        "-self.num_dims * self.num_bits * math.log(2.0)",
        "-self.num_dims * 8 * math.log(2.0)",
        "flows/test_flows.py::test_probabilities_of_all_images_sum_to_almost_one",
    ),
    Mutant(
        "flows/flow.py",
        "(log_density + self.log_volume) /",
        "log_density /",
        "flows/test_flows.py::test_probabilities_of_all_images_sum_to_almost_one",
    ),
    Mutant(
        "flows/flow.py",
        "2.0 ** (8 - self.num_bits))",
        "2.0 ** (7 - self.num_bits))",
        "flows/test_flows.py::TestEqualizedGlow::test_pixels_come_back",
    ),
    Mutant(
        "flows/bijectors/dequantization.py",
        "return (k + u) / 2.0**self.num_bits",
        "return k / 2.0**self.num_bits",
        BIJECTORS + "uniform_dequantization",
    ),
    Mutant(
        "flows/bijectors/dequantization.py",
        "return u, -(log_det + term)",
        "return u, log_det + term",
        BIJECTORS + "variational_dequantization_is_a_density_on_the_unit_cube",
    ),
    Mutant(
        "flows/bijectors/act_norm.py",
        "return positions(self.shape) * ops.sum(self.log_scale)",
        "return ops.sum(self.log_scale)",
        BIJECTORS + "images[ActNorm]",
    ),
    Mutant(
        "flows/bijectors/base.py",
        "ops.matmul(w, weight), ops.matmul(w, bias) + b",
        "ops.matmul(weight, w), ops.matmul(w, bias) + b",
        BIJECTORS + "maps_of_channels_pass_as_one",
    ),
    Mutant(
        "flows/bijectors/act_norm.py",
        "stddev = values.std(axis=0)",
        "stddev = values.var(axis=0)",
        BIJECTORS + "act_norm_initialises_once",
    ),
    Mutant("flows/bijectors/logit.py", " + math.log(1.0 - 2.0 * self.alpha)", "", BIJECTORS + "images[Logit]"),
    Mutant("flows/bijectors/haar.py", "return -math.log(2.0) *", "return math.log(2.0) *", BIJECTORS + "images[Haar]"),
    Mutant(
        "flows/bijectors/split.py",
        "ops.exp(-log_scale)), -sum_of_each(log_scale)",
        "ops.exp(-log_scale)), sum_of_each(log_scale)",
        BIJECTORS + "images[Split]",
    ),
    Mutant(
        "flows/bijectors/rational_quadratic_spline.py",
        "2.0 * s * mixed + d * ops.square(1.0 - t)",
        "s * mixed + d * ops.square(1.0 - t)",
        BIJECTORS + "vectors[RationalQuadraticSpline-channel-False]",
    ),
    Mutant(
        "flows/bijectors/histogram_equalization.py",
        "ops.log(f * self.num_levels))\n\n    def inverse",
        "ops.log(f))\n\n    def inverse",
        BIJECTORS + "images[HistogramEqualization]",
    ),
    # GANs
    Mutant(
        "gans/gan.py",
        "self.penalty.weight * self.penalty.interval * losses",
        "self.penalty.weight * losses",
        GAN_SETTINGS + "a_lazy_penalty_weighs_as_much_as_a_busy_one",
    ),
    Mutant(
        "gans/gan.py",
        "% self.penalty.interval, 0)",
        "% self.penalty.interval, self.penalty.interval)",
        GAN_SETTINGS + "a_lazy_penalty_weighs_as_much_as_a_busy_one",
    ),
    Mutant(
        "gans/gan.py",
        "self.generate(ops.convert_to_tensor(z), one_hot, training=True)",
        "self.generate(ops.convert_to_tensor(z), one_hot)",
        GAN_SETTINGS + "standing_statistics_are_those_of_the_weights",
    ),
    Mutant("gans/gan.py", "z = math.sqrt(2.0) * ops.convert_to_numpy", "z = ops.convert_to_numpy", GANS + "truncation"),
    Mutant(
        "gans/penalties.py", "return 0.5 * squared_norms", "return squared_norms", GANS + "penalties_of_a_linear_critic"
    ),
    Mutant("gans/penalties.py", "+ 1e-12) - 1.0)", "+ 1e-12))", GANS + "penalties_of_a_linear_critic"),
    Mutant("gans/losses.py", "ops.relu(1.0 - real)", "ops.relu(1.0 + real)", GANS + "losses"),
    Mutant("gans/augmentation.py", "most = round(side / 8)", "most = round(side / 4)", GANS + "augmentations"),
    Mutant(
        "gans/cyclegan.py",
        "logical_and(coins < 0.5,",
        "logical_and(coins < 0.25,",
        "gans/test_translation.py::test_image_pool",
    ),
    Mutant(
        "gans/cyclegan.py",
        "inside = index < self.size",
        "inside = index <= self.size",
        "gans/test_translation.py::test_image_pool",
    ),
    Mutant(
        "gans/cyclegan.py",
        "losses + self.cycle_weight * cycle",
        "losses + cycle",
        GAN_SETTINGS + "losses_of_a_cyclegan_in_closed_form",
    ),
    Mutant(
        "gans/cyclegan.py",
        "sum(0.5 * mean_over_patches(self.loss_function.discriminator",
        "sum(mean_over_patches(self.loss_function.discriminator",
        GAN_SETTINGS + "losses_of_a_cyclegan_in_closed_form",
    ),
    # Networks
    Mutant(
        "networks/layers/spectral_normalization.py",
        "            self.u.assign(u)\n",
        "",
        GANS + "spectral_normalization",
    ),
    Mutant(
        "networks/layers/conditional_batch_normalization.py",
        "y * (1.0 + scale) + shift",
        "y * scale + shift",
        GANS + "conditional_batch_normalization",
    ),
    Mutant(
        "networks/layers/attention.py",
        "q * size**-0.5",
        "q * size**-1.0",
        "networks/test_settings_matter.py::test_self_attention",
    ),
    Mutant(
        "networks/layers/convolution.py",
        "ops.flip(_widened(kernel), (0, 1))",
        "_widened(kernel)",
        "networks/test_resampling.py::test_resampling",
    ),
    Mutant(
        "networks/layers/convolution.py",
        "0.25 * _widened(kernel)",
        "_widened(kernel)",
        "networks/test_resampling.py::test_resampling",
    ),
    Mutant(
        "networks/layers/conditioning.py",
        "embedding = embedding + self.classes(one_hot)",
        "embedding = embedding",
        "networks/test_settings_matter.py::test_conditioning_on_time_and_class",
    ),
    # Seeds and noise
    Mutant(
        "noise.py", "[0, image, stream, 0]", "[0, image, 0, 0]", "test_noise.py::test_each_image_has_its_own_numbers"
    ),
    Mutant(
        "noise.py",
        "radius * ops.sin(angle)",
        "radius * ops.cos(angle)",
        "test_noise.py::test_numbers_of_a_seed_are_fixed_for_good",
    ),
    Mutant("noise.py", "PARITY = 0x1BD11BDA", "PARITY = 0x1BD11BDB", "test_noise_steps.py::test_threefry"),
    # Optimizers
    Mutant(
        "training/optimizers.py",
        '"global_clipnorm": training.clip_norm',
        '"clipnorm": training.clip_norm',
        TRAINING + "gradients_are_clipped_by_their_common_norm",
    ),
    Mutant(
        "training/optimizers.py",
        "learning_rate=rate, ema_momentum=None)",
        "learning_rate=rate)",
        TRAINING + "of_two_players_the_generator_is_averaged_and_rates_differ",
    ),
    Mutant(
        "training/optimizers.py",
        '"use_ema": True, "ema_momentum": training.ema_momentum',
        '"use_ema": True',
        TRAINING + "of_two_players_the_generator_is_averaged_and_rates_differ",
    ),
    Mutant(
        "training/optimizers.py",
        "decay_steps=max(num_steps - warmup, 1)",
        "decay_steps=max(num_steps, 1)",
        TRAINING + "learning_rates_warm_up_and_fall",
    ),
    Mutant(
        "classifiers/classifier.py",
        "one_hot * (1.0 - smoothing) + smoothing / self.num_classes",
        "one_hot",
        "classifiers/test_settings_matter.py",
    ),
    # Metrics
    Mutant(
        "metrics/frechet.py", "- 2.0 * trace_of_root", "- trace_of_root", METRICS + "frechet_distance_against_sqrtm"
    ),
    Mutant("metrics/frechet.py", "/ (total - 1)", "/ total", METRICS + "moments_of_a_stream"),
    Mutant("metrics/kernel.py", "2.0 * xy / (n * m)", "xy / (n * m)", METRICS + "kernel_distance_is_the_u_statistic"),
    Mutant(
        "metrics/kernel.py",
        "variance = (n - 1) * without_x.var()",
        "variance = without_x.var()",
        METRICS + "kernel_distance_is_the_u_statistic",
    ),
    Mutant(
        "metrics/neighbours.py",
        "np.partition(part, k, axis=1)[:, k] for",
        "np.partition(part, k, axis=1)[:, k - 1] for",
        METRICS + "precision_and_recall_in_one_dimension",
    ),
    Mutant(
        "metrics/neighbours.py",
        "return np.concatenate(counts) / k,",
        "return np.concatenate(counts),",
        METRICS + "same_as_prdc",
    ),
    Mutant("metrics/scores.py", "marginal = share @ p", "marginal = p.mean(axis=0)", METRICS + "inception_score"),
    Mutant("metrics/similarity.py", "return -10.0 * np.log10", "return -20.0 * np.log10", METRICS + "similarity"),
    Mutant(
        "metrics/path_length.py",
        "sum(axis=1) / epsilon**2",
        "sum(axis=1) / epsilon",
        METRICS + "path_length_of_a_linear_decoder",
    ),
    Mutant(
        "base/latent.py",
        "direction * ((1.0 - t) * lengths[0] + t * lengths[1])",
        "direction * lengths[0]",
        METRICS + "path_length_of_a_linear_decoder_of_normal_latents",
    ),
    Mutant("metrics/checks.py", "if len(x) < least:", "if len(x) < 1:", METRICS + "rows_that_are_refused"),
    Mutant("metrics/bootstrap.py", "np.std(draws, ddof=1)", "np.var(draws, ddof=1)", METRICS + "bootstrap_of_a_mean"),
    Mutant(
        "base/generative.py",
        "np.argsort(-left, kind=",
        "np.argsort(left, kind=",
        "metrics/test_evaluation.py::test_labels_are_in_the_shares_of_the_split",
    ),
    # Ranges and checks
    Mutant(
        "modalities/images.py",
        "if low < self.limits[0] or high > self.limits[1]:",
        "if high > self.limits[1]:",
        "modalities/test_checks.py::test_refuses_values",
    ),
    Mutant(
        "modalities/labels.py",
        "if low < 0 or high > last:",
        "if low < 0 or high > num_classes:",
        "modalities/test_labels.py::test_refuses",
    ),
    Mutant(
        "pictures.py",
        "np.rint(np.clip(images, 0.0, 1.0) * 255.0)",
        "np.floor(np.clip(images, 0.0, 1.0) * 255.0)",
        "modalities/test_settings_matter.py::test_storage_is_the_nearest_byte",
    ),
    # Data
    Mutant(
        "data/batches.py",
        "tf.random.experimental.stateless_shuffle(indices, epoch_seed)",
        "tf.random.experimental.stateless_shuffle(indices, 0 * epoch_seed)",
        "data/test_data.py::test_shuffling_is_a_function_of_seed_and_epoch",
    ),
    Mutant(
        "data/batches.py",
        "tf.reverse(images, [2])",
        "tf.reverse(images, [1])",
        "data/test_data.py::test_a_flip_mirrors_left_to_right_alone",
    ),
    # Checkpoints
    Mutant(
        "checkpoints/weights.py",
        "        if shape != expected_shape:",
        "        if False:",
        CHECKPOINTS + "weights_that_are_refused",
    ),
    Mutant(
        "checkpoints/weights.py",
        "if _address(h5py, item) in seen:",
        "if False:",
        CHECKPOINTS + "weights_that_are_refused",
    ),
    Mutant(
        "checkpoints/config.py",
        "if abs(value) > bound and",
        "if value > bound and",
        CHECKPOINTS + "configs_that_are_refused",
    ),
    # The door: weights of examples, what comes in batches, noise of evaluations
    Mutant(
        "base/trainer.py",
        "ops.sum(weights * losses)",
        "ops.sum(losses)",
        "test_keras_citizenship.py::TestAutoencoder::test_weights_of_examples",
    ),
    Mutant(
        "base/trainer.py",
        "update_state(value, weights if len(value.shape) else None)",
        "update_state(value)",
        "test_keras_citizenship.py::TestAutoencoder::test_weights_of_examples",
    ),
    Mutant(
        "base/trainer.py",
        "        with Gate(self) as gate, self.fixed_noise():",
        "        with Gate(self) as gate:",
        "test_keras_citizenship.py::TestVariationalAutoencoder::test_default_fit_lowers_evaluate",
    ),
    Mutant(
        "base/batches.py",
        "self.check(x, y, weights)",
        "parts(batch)",
        "test_keras_citizenship.py::TestAutoencoder::test_bad_batches_are_named",
    ),
    Mutant(
        "modalities/labels.py",
        "if low < 0 or high > last:",
        "if high > last:",
        "test_keras_citizenship.py::TestClassifier::test_bad_labels_in_batches",
    ),
    Mutant(
        "autoencoders/autoencoder.py",
        "target, corrupted = x if target is None else target, x",
        "target, corrupted = x, x",
        "test_keras_citizenship.py::TestAutoencoder::test_learns_to_denoise_from_pairs",
    ),
    Mutant(
        "autoencoders/autoencoder.py",
        "return self.images(self.latents(self.modality.scale(images), training), training)",
        'return self.images(self.latents(ops.cast(images, "float32"), training), training)',
        "test_keras_citizenship.py::TestAutoencoder::test_call",
    ),
    Mutant(
        "base/averaging.py",
        "(1.0 + n) / (10.0 + n)",
        "(1.0 + n) / (100.0 + n)",
        "training/test_averaging.py::test_averages_are_those_of_the_formula",
    ),
    # What is imported
    Mutant("networks/layers/attention.py", " * size**-0.5", "", IMPORTS + "unets"),
    Mutant("networks/diffusers/blocks.py", "sides = (self.padding, 1)", "sides = (1, 1)", IMPORTS + "unets"),
    Mutant("networks/diffusers/unet.py", "/ (half - self.freq_shift)", "/ half", IMPORTS + "unets"),
    Mutant(
        "networks/diffusers/autoencoder_kl.py",
        "2.0 * math.log(self.scaling_factor)",
        "math.log(self.scaling_factor)",
        IMPORTS + "autoencoder_kl",
    ),
    Mutant("diffusion/schedules.py", "start**0.5, end**0.5", "start, end", IMPORTS + "schedules"),
    Mutant("flows/bijectors/sigmoid_coupling.py", "raw + 2.0", "raw", "importers/test_files.py::test_glow"),
    Mutant("networks/coupling.py", "constant_values=1.0", "constant_values=0.0", "importers/test_files.py::test_glow"),
    Mutant(
        "importers/glow.py", "0.5 if first and entry", "0.0 if first and entry", "importers/test_files.py::test_glow"
    ),
)


def copied(folder: Path) -> Path:
    """A copy of the tree in `folder`, without what git and Python keep, and compiled."""
    ignored = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "dist")
    tree = Path(shutil.copytree(ROOT, folder / "tree", ignore=ignored))
    # By what is in a file, not by its time: two texts of one length, written in one second, are two.
    by_hash = py_compile.PycInvalidationMode.CHECKED_HASH
    compileall.compile_dir(tree / "kerasgen", quiet=1, invalidation_mode=by_hash)
    return tree


def started(tree: Path, *tests: str) -> int:
    """A process that runs the tests in a copy, and its number; what it says is in `said` beside the copy.

    It is forked from this one, which has imported what takes long and none of kerasgen.
    """
    if pid := os.fork():
        return pid
    said = os.open(tree.parent / "said", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(said, stream)
    os.chdir(tree)
    os.environ["PYTHONPATH"] = sys.path[0] = str(tree)
    sys.dont_write_bytecode = True
    os._exit(pytest.main([*OPTIONS, *(f"tests/{test}" for test in tests)]))


def said(tree: Path) -> str:
    """The last lines of what a process said."""
    return "\n".join((tree.parent / "said").read_text(errors="replace").splitlines()[-8:])


def outcomes(chosen: Sequence[Mutant], trees: list[Path]) -> Iterator[dict]:
    """A row of the table for each change, as it is done: what became of it, in a copy that is then as it was."""
    waiting, running = list(chosen), {}
    while waiting or running:
        while waiting and trees:
            mutant, tree = waiting.pop(0), trees.pop()
            text = (tree / mutant.path).read_text(encoding="utf-8")
            (tree / mutant.path).write_text(mutant.applied_to(text), encoding="utf-8")
            running[started(tree, mutant.test)] = (mutant, tree, text, time.monotonic())
        time.sleep(0.1)
        for pid, (mutant, tree, text, start) in list(running.items()):
            seconds = time.monotonic() - start
            if seconds > flags.FLAGS.seconds:
                os.kill(pid, signal.SIGKILL)
            done, status = os.waitpid(pid, 0 if seconds > flags.FLAGS.seconds else os.WNOHANG)
            if done:
                del running[pid]
                trees.append(tree)
                (tree / mutant.path).write_text(text, encoding="utf-8")
                found = {TESTS_FAILED: "killed", ALL_PASSED: "survived", -signal.SIGKILL: "killed"}
                verdict = found.get(os.waitstatus_to_exitcode(status), "error")
                yield {**mutant._asdict(), "verdict": verdict, "seconds": round(seconds, 1), "said": said(tree)}


def main(_):
    chosen = [mutant for mutant in MUTANTS if flags.FLAGS.only.lower() in " ".join(mutant).lower()]
    for mutant in chosen:
        mutant.applied_to((ROOT / mutant.path).read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        trees = [copied(Path(folder, str(job))) for job in range(flags.FLAGS.jobs)]
        if flags.FLAGS.sound:
            _, status = os.waitpid(started(trees[0], *dict.fromkeys(mutant.test for mutant in chosen)), 0)
            if status != ALL_PASSED:
                sys.exit(f"the tests do not pass as things are:\n{said(trees[0])}")
        rows = []
        for row in outcomes(chosen, trees):
            rows.append(row)
            print(f"{row['verdict']:9}{row['seconds']:7.1f} s  {row['file']}: {row['new'].strip()!r}", flush=True)
            if flags.FLAGS.output:
                Path(flags.FLAGS.output).write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    left = [row for row in rows if row["verdict"] != "killed"]
    for row in left:
        print(f"\n{row['verdict']}: {row['file']}, {row['old']!r} to {row['new']!r}, {row['test']}\n{row['said']}")
    print(f"{len(rows) - len(left)} of {len(rows)} killed")
    sys.exit(1 if left else 0)


if __name__ == "__main__":
    flags.DEFINE_string("only", "", "try those with this word in their file, text or test")
    flags.DEFINE_integer("jobs", 1, "how many to try at once", lower_bound=1)
    flags.DEFINE_string("output", None, "a file for the table as JSON")
    flags.DEFINE_integer("seconds", 600, "after which a change counts as killed: it may never end")
    flags.DEFINE_bool("sound", True, "first run the tests without any change: they must pass")
    app.run(main)
