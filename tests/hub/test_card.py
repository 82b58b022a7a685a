"""Cards show texts as they read."""

from kerasgen.hub.card import _texts
from kerasgen.modalities import Tokens


def test_texts_as_they_read(tmp_path):
    """Line breaks come back, and backslashes, which molecules have."""
    tokens = Tokens((9,), ["", *"FC=/n\\", "\n", "\u2028"])
    texts = ["F/C=C\\F", "C\\n", "C\nF", "C\u2028F"]
    tokens.write(tokens.check(texts), tmp_path / "x.txt")
    shown = _texts((tmp_path / "x.txt").read_text(encoding="utf-8"))
    assert shown == "```text\n" + ("\n" + "-" * 20 + "\n").join(texts[:3]) + "\n```"
    tokens.write(tokens.check(texts[:2]), tmp_path / "x.txt")
    assert _texts((tmp_path / "x.txt").read_text(encoding="utf-8")) == "```text\nF/C=C\\F\nC\\n\n```"
