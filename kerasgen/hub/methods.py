"""What hub/ gives to every model: `push_to_hub`, `from_preset` and `presets`."""

from types import SimpleNamespace

from kerasgen.base import BaseModel
from kerasgen.hub.publication import publish
from kerasgen.hub.registry import list_models, load

BaseModel.hub = SimpleNamespace(publish=publish, load=load, list_models=list_models)
