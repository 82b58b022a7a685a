"""How well a score tells the normal from the anomalous; higher scores are stranger."""

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kerasgen import charts, inputs
from kerasgen.detectors.threshold import threshold_of
from kerasgen.errors import InputError
from kerasgen.files import replacing
from kerasgen.metrics.checks import check_finite
from kerasgen.metrics.figure import Figures, figure
from kerasgen.typing import Any, Array, ArrayLike

TPR = 0.95  # true-positive rate at which false positives are counted


def auroc(normal: ArrayLike, anomalous: ArrayLike) -> float:
    """The share of pairs in which the anomalous score `[M]` is above the normal one `[N]`; ties count half."""
    return float(_placements(*_scores(normal, anomalous))[1].mean())


def auroc_error(normal: ArrayLike, anomalous: ArrayLike) -> float | None:
    """The standard error of `auroc` (DeLong et al. 1988); `None` for sets of one."""
    parts = _placements(*_scores(normal, anomalous))
    if min(map(len, parts)) < 2:
        return None
    return math.sqrt(sum(part.var(ddof=1) / len(part) for part in parts))


def average_precision(normal: ArrayLike, anomalous: ArrayLike) -> float:
    """The mean, over anomalies, of the precision where all from their score on are called anomalous."""
    normal, anomalous = _scores(normal, anomalous)
    true, false = (_at_least(scores, anomalous) for scores in (anomalous, normal))
    return float((true / (true + false)).mean())


def false_positive_rate(normal: ArrayLike, anomalous: ArrayLike, tpr: float = TPR) -> float:
    """The share of normal scores at or above the highest threshold that `tpr` of anomalous ones are at or above."""
    normal, anomalous = _scores(normal, anomalous)
    threshold = np.sort(anomalous)[::-1][math.ceil(tpr * len(anomalous) - 1e-9) - 1]
    return float((normal >= threshold).mean())


@dataclass(frozen=True)
class AnomalyReport:
    """Scores of normal examples `[N]` and of anomalous ones `[M]`, a threshold, and what follows from them."""

    normal: Array
    anomalous: Array
    threshold: float
    scorer: str

    def to_dict(self) -> dict[str, Any]:
        """The figures, as plain JSON values."""
        return {
            "scorer": self.scorer,
            "n_normal": len(self.normal),
            "n_anomalous": len(self.anomalous),
            "auroc": auroc(self.normal, self.anomalous),
            "auroc_standard_error": auroc_error(self.normal, self.anomalous),
            "average_precision": average_precision(self.normal, self.anomalous),
            "false_positive_rate_at_95_tpr": false_positive_rate(self.normal, self.anomalous),
            "threshold": self.threshold,
            "false_positive_rate": float((self.normal > self.threshold).mean()),
            "true_positive_rate": float((self.anomalous > self.threshold).mean()),
        }

    def save(self, path: str | Path) -> None:
        """Writes the figures (.json), or a picture of both kinds' scores and of the ROC curve (.png)."""
        path = Path(path)
        if path.suffix == ".json":
            with replacing(path) as file:
                file.write((json.dumps(self.to_dict(), indent=2) + "\n").encode())
        elif path.suffix == ".png":
            charts.save(path, [self._histogram(), self._curve()])
        else:
            raise InputError(f"{path} ends in {path.suffix or 'no suffix'}; expected .json or .png.")

    def _histogram(self):
        both = np.concatenate([self.normal, self.anomalous])
        low, high = np.quantile(both[np.isfinite(both)], [0.005, 0.995])
        edges = np.linspace(low, high if high > low else low + 1.0, 41)
        lines = {}
        for name in ("normal", "anomalous"):
            counts, _ = np.histogram(np.clip(getattr(self, name), edges[0], edges[-1]), edges)
            lines[name] = (np.repeat(edges, 2)[1:-1], np.repeat(counts / counts.sum(), 2))
        lines["threshold"] = (np.full(2, self.threshold), np.array([0.0, max(y.max() for _, y in lines.values())]))
        return charts.Chart("scores", "share", lines)

    def _curve(self):
        thresholds = np.sort(np.concatenate([self.normal, self.anomalous]))[::-1]
        rates = [
            np.append(0.0, _at_least(scores, thresholds) / len(scores)) for scores in (self.normal, self.anomalous)
        ]
        title = f"AUROC {auroc(self.normal, self.anomalous):.3f}"
        diagonal = np.array([0.0, 1.0])
        return charts.Chart("false positives", "true positives", {title: tuple(rates), "chance": (diagonal, diagonal)})


def anomaly_report(
    model: Any,
    normal: Array,
    anomalous: Array,
    scorer: str | None = None,
    false_positive_rate: float = 0.05,
    **settings: Any,
) -> AnomalyReport:
    """How well a model tells anomalous examples from normal ones that it was not trained on.

    Args:
        model: any that has `anomaly_score`. A detector with a threshold of its own keeps it.
        scorer: a name of `model.anomaly_scorers()`, the model's own way by default.
        false_positive_rate: for which the threshold is set, by the normal examples.
        settings: of `anomaly_score`, such as `labels` or `batch_size`.
    """
    score, threshold = scorer_of(model, scorer), model.anomaly_threshold
    if threshold is None:
        threshold_of(np.zeros(len(normal)), false_positive_rate)  # refuses too few before any is scored
    usual, strange = (np.asarray(score(x, **settings), np.float64) for x in (normal, anomalous))
    threshold = threshold_of(usual, false_positive_rate) if threshold is None else threshold
    return AnomalyReport(usual, strange, threshold, scorer or next(iter(model.anomaly_scorers())))


def detection(run: Any) -> Figures:
    """AUROC of the split, and what the detector's threshold makes of it."""
    report = anomaly_report(run.model, run.images[~run.anomalous], run.images[run.anomalous], **run.batching).to_dict()
    how = {**run.how, **{key: report[key] for key in ("scorer", "n_normal", "n_anomalous", "threshold")}}
    figures = {"auroc": figure(report["auroc"], report["auroc_standard_error"], **how)}
    for name in ("average_precision", "false_positive_rate", "true_positive_rate"):
        figures[name] = figure(report[name], None, **how)
    return figures


def scorer_of(model: Any, name: str | None) -> Any:
    """A scoring function of a model. Raises `InputError`: it has none of this name, or none at all."""
    scorers = model.anomaly_scorers()
    if not scorers:
        model.verb("anomaly_score")
    return scorers[inputs.check_choice("scorer", name or next(iter(scorers)), scorers)]


def _scores(normal, anomalous):
    """Both as arrays, of which some may be infinite. Raises `InputError`."""
    both = [np.asarray(scores, np.float64) for scores in (normal, anomalous)]
    for name, scores in zip(("normal examples", "anomalies"), both, strict=True):
        check_finite(f"scores of {name}", np.nan_to_num(scores, nan=np.nan, posinf=0.0, neginf=0.0), "N")
    return both


def _at_least(scores, thresholds):
    """How many scores are at or above each threshold."""
    return len(scores) - np.searchsorted(np.sort(scores), thresholds, "left")


def _placements(normal, anomalous):
    """For each normal score the share of anomalous ones above it, `[N]`, and the other way round, `[M]`."""

    def below(scores, of):
        ordered = np.sort(of)
        return 0.5 * (np.searchsorted(ordered, scores, "left") + np.searchsorted(ordered, scores, "right")) / len(of)

    return 1.0 - below(normal, anomalous), below(anomalous, normal)
