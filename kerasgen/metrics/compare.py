"""Two reports beside each other; figures that were measured otherwise are not compared."""

# Everything else in a figure says how it was measured.
RESULTS = (
    "value",
    "standard_error",
    "confidence_interval",
    "seconds",
    "by_class",
    "shares",
    "real",
    "flagged",
    "bits_per_dim",
)


def compare(a, b):
    """Rows of figures alike, and what differs in the others.

    Args:
        a, b: what metrics.json holds, as dictionaries.

    Returns:
        `{name: (figure of a, figure of b)}` of what was measured alike, and `{name: {field: (a's, b's)}}` of what both
        have but not alike.
    """
    alike, unlike = {}, {}
    for name, figure in a["metrics"].items():
        other = b["metrics"].get(name)
        if other is None:
            continue
        fields = [field for field in {**figure, **other} if field not in RESULTS]
        differing = {
            field: (figure.get(field), other.get(field)) for field in fields if figure.get(field) != other.get(field)
        }
        if differing:
            unlike[name] = differing
        else:
            alike[name] = (figure, other)
    return alike, unlike
