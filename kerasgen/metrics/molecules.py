"""Figures of molecules, written as SMILES: how many are such, and how many of them are others than those known."""

import numpy as np

from kerasgen.errors import InputError
from kerasgen.metrics.figure import Figures, mean_figure
from kerasgen.typing import Any, Sequence


def canonical(texts: Sequence[str]) -> list[str | None]:
    """The canonical SMILES of each text, by RDKit; `None` of those that are no molecule.

    Raises `InputError`: RDKit is not there.
    """
    try:
        from rdkit import Chem, rdBase
    except ImportError as error:
        raise InputError('molecules need RDKit: pip install "kerasgen-zoo[molecules]".') from error
    with rdBase.BlockLogs():
        found = [Chem.MolFromSmiles(text) if text else None for text in texts]
        return [None if molecule is None else Chem.MolToSmiles(molecule) for molecule in found]


def molecules(run: Any) -> Figures:
    """Shares of all samples: those that are molecules, those that are and differ, and those that are new besides.

    A sample is a molecule if RDKit reads it and finds its valences possible; it is counted once, and is new if no
    training example has its canonical SMILES.
    """
    modality = run.model.modality
    found = canonical(modality.texts(run.samples))
    known = set(canonical(modality.texts(modality.to_storage(run.training()))))
    seen: set[str] = set()
    unique = np.zeros(len(found), bool)
    for index, text in enumerate(found):
        unique[index] = text is not None and text not in seen
        seen |= set() if text is None else {text}
    how = run.how_sampled
    valid = [text is not None for text in found]
    new = [first and text not in known for first, text in zip(unique, found, strict=True)]
    return {
        "valid": mean_figure(valid, **how),
        "valid_unique": mean_figure(unique, **how),
        "valid_unique_novel": mean_figure(new, **how),
    }
