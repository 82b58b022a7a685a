"""What every family shares."""

from kerasgen.base.attributes import AttributeModel as AttributeModel
from kerasgen.base.exhibit import (
    SHOWN as SHOWN,
    Exhibit as Exhibit,
    below_each_other as below_each_other,
    describe_sampling as describe_sampling,
)
from kerasgen.base.family import FAMILIES as FAMILIES, register_family as register_family
from kerasgen.base.generative import SAMPLED as SAMPLED, GenerativeModel as GenerativeModel, written as written
from kerasgen.base.latent import (
    DecodingModel as DecodingModel,
    LatentModel as LatentModel,
    ReconstructingModel as ReconstructingModel,
    slerp as slerp,
)
from kerasgen.base.likelihood import LikelihoodModel as LikelihoodModel
from kerasgen.base.model import BaseModel as BaseModel, RowSettings as RowSettings
from kerasgen.base.program import (
    batched as batched,
    mean_of_each as mean_of_each,
    rows as rows,
    sum_of_each as sum_of_each,
    with_progress as with_progress,
)
