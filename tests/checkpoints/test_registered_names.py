"""The names under which saved models know their classes: none may ever go away."""

import keras

import kerasgen

NAMES = """
    AveragedAdadelta AveragedAdafactor AveragedAdagrad AveragedAdam AveragedAdamW AveragedAdamax AveragedFtrl
    AveragedLamb AveragedLion AveragedMuon AveragedNadam AveragedRMSprop AveragedSGD
    ActNorm AdditiveCoupling AffineCoupling AnomalyDetector Autoencoder AutoregressiveTransformer Bernoulli
    Classifier CodeModel
    ConditionalBatchNormalization ConditionalSplit Conditioning Conv2D CycleGAN
    DiffusionModel DiscretizedLogistic DiscretizedLogisticMixture FiniteScalarQuantizer FlowMatching GAN Gaussian
    GaussianPrior Glow GradientPenalty GroupNormalization Haar Hinge HistogramEqualization ImageDenoiser
    Invertible InvertibleConv1x1 LatentDiffusion LeastSquares Logit MaskedDiffusion MaxPooling2D
    MinibatchStandardDeviation MixtureDensity MultiScale
    NonSaturating Permute Pix2Pix Players PositionBias R1 RationalQuadraticSpline RealNVP SelfAttention
    SequenceVAE Transformer
    SigmoidCoupling Split Squeeze UniformDequantization VQVAE VariationalAutoencoder VariationalDequantization
    VectorQuantizer Wasserstein
"""


def test_registered_names():
    for name in NAMES.split():
        assert keras.saving.get_registered_object(f"kerasgen>{name}") is not None, name
    assert keras.saving.get_registered_object("kerasgen>Players") is kerasgen.GANOptimizer
