"""Two reports side by side; figures that were measured in different ways are not compared."""

from kerasgen.errors import InputError
from kerasgen.typing import Any

# Every other field of a figure says how it was measured.
RESULTS = (
    *("value", "standard_error", "confidence_interval", "seconds", "by_class", "shares", "real", "flagged"),
    "bits_per_dim",
)

Row = dict[str, tuple[Any, Any]]  # what a has and what b has, by name


def compare(a: dict[str, Any], b: dict[str, Any]) -> tuple[Row, dict[str, Row]]:
    """The figures that both reports have: those measured in the same way, and what differs for the others.

    Args:
        a, b: the contents of two metrics.json files.

    Returns:
        `{figure: (a's, b's)}` of figures measured in the same way, and `{figure: {setting: (a's, b's)}}` of the others,
        with the settings that differ.

    Raises `InputError`: one is not such contents.
    """
    for name, report in (("a", a), ("b", b)):
        figures = report.get("metrics") if isinstance(report, dict) else None
        if not isinstance(figures, dict) or not all(isinstance(figure, dict) for figure in figures.values()):
            raise InputError(f"{name} has no figures under 'metrics'; expected the contents of a metrics.json.")
    alike, unlike = {}, {}
    for name, figure in a["metrics"].items():
        if (other := b["metrics"].get(name)) is None:
            continue
        pairs = {field: (figure.get(field), other.get(field)) for field in {**figure, **other} if field not in RESULTS}
        if differing := {field: pair for field, pair in pairs.items() if pair[0] != pair[1]}:
            unlike[name] = differing
        else:
            alike[name] = (figure, other)
    return alike, unlike
