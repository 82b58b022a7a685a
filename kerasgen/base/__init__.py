"""What every family shares."""

from kerasgen.base.attributes import AttributeModel as AttributeModel
from kerasgen.base.exhibit import Exhibit as Exhibit, describe_sampling as describe_sampling
from kerasgen.base.family import FAMILIES as FAMILIES, register_family as register_family
from kerasgen.base.generative import SAMPLED as SAMPLED, GenerativeModel as GenerativeModel, written as written
from kerasgen.base.latent import (
    SHOWN as SHOWN,
    DecodingModel as DecodingModel,
    LatentModel as LatentModel,
    slerp as slerp,
)
from kerasgen.base.likelihood import LikelihoodModel as LikelihoodModel
from kerasgen.base.model import BaseModel as BaseModel
from kerasgen.base.program import batched as batched, rows as rows
