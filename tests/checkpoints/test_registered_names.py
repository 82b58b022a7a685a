"""The names under which saved models know their classes: none may ever go away."""

import keras

import kerasgen

NAMES = """
    AveragedAdadelta AveragedAdafactor AveragedAdagrad AveragedAdam AveragedAdamW AveragedAdamax AveragedFtrl
    AveragedLamb AveragedLion AveragedMuon AveragedNadam AveragedRMSprop AveragedSGD
    ActNorm AdditiveCoupling AffineCoupling Autoencoder Bernoulli Classifier ConditionalBatchNormalization
    ConditionalSplit Conditioning Conv2D CycleGAN DiffusionModel DiscretizedLogistic FlowMatching GAN Gaussian
    GaussianPrior Glow GradientPenalty GroupNormalization Haar Hinge HistogramEqualization Invertible
    InvertibleConv1x1 LatentDiffusion LeastSquares Logit MaxPooling2D
    MinibatchStandardDeviation MixtureDensity MultiScale
    NonSaturating Permute Pix2Pix Players PositionBias R1 RationalQuadraticSpline RealNVP SelfAttention
    SigmoidCoupling Split Squeeze UniformDequantization VariationalAutoencoder VariationalDequantization Wasserstein
"""


def test_registered_names():
    for name in NAMES.split():
        assert keras.saving.get_registered_object(f"kerasgen>{name}") is not None, name
    assert keras.saving.get_registered_object("kerasgen>Players") is kerasgen.GANOptimizer
