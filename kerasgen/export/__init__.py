"""Programs for other runtimes: a part of a model as ONNX, SavedModel or LiteRT, run and compared before it is kept."""

from kerasgen.export.checked import check_path as check_path, write_checked as write_checked
from kerasgen.export.formats import FORMATS as FORMATS, find_format as find_format
from kerasgen.export.part import ROWS as ROWS, Part as Part
from kerasgen.export.program import write as write, write_in_child as write_in_child
