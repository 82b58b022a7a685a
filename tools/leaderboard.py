"""Writes zoo/LEADERBOARD.md from every metrics.json of the zoo.

python tools/leaderboard.py
"""

from absl import app

from kerasgen.hub.card import markdown_table
from kerasgen.hub.figure_names import title
from kerasgen.hub.registry import entries, zoo_folder

COLUMNS = (
    "bits_per_dim",
    "frechet_distance",
    "kernel_distance",
    "precision",
    "recall",
    "density",
    "coverage",
    "sample_accuracy",
    "confidence",
    "memorisation",
    "mean_squared_error",
    "nats_per_token",
    "valid",
    "valid_unique",
    "valid_unique_novel",
    "novelty",
)

# (data set, model, figure, source, why ours differs)
PUBLISHED = (
    ("MNIST", "VAE, RAE-L2", "FID 19.2, 8.7", "pythae", "Inception-2015; 70 to 100 epochs"),
    (
        "MNIST, binary",
        "VAE, IWAE",
        "89.8, 86.8 nats",
        "pythae",
        "pixels binarised at random there; here gray values are probabilities, which costs more nats",
    ),
    (
        "CIFAR-10",
        "RealNVP, Glow",
        "3.49, 3.35 bits/dim",
        "Kingma and Dhariwal 2018",
        "no entry of ours: our copy of CIFAR-10 is JPEG",
    ),
    (
        "CelebA, 64 x 64",
        "RealNVP",
        "3.02 bits/dim",
        "Dinh et al. 2017",
        "the whole of CelebA, resized otherwise and not stored as JPEG; many times the size and training",
    ),
    ("CelebA, 64 x 64", "VAE, RAE-SN", "FID 48.3, 41.0", "pythae", "Inception-2015; the whole of CelebA, 70 epochs"),
    ("CelebA, 64 x 64", "SNGAN", "FID 5.71", "mimicry", "Inception-2015; 100,000 steps"),
    (
        "QM9; valid, of these unique, of these new",
        "CharacterVAE, MolGAN, DiGress",
        "10.3, 7.0, 6.3 %; 98.1, 10.2, 9.6 %; 99.0, 95.2, 31.8 %",
        "the papers",
        "of the latter two models of graphs; ours writes SMILES, and new is what is not in its 90 % of QM9",
    ),
    ("names of makemore", "transformer", "about 1.92 nats a character", "makemore", "another split"),
    (
        "Tiny Shakespeare",
        "GPT of 10.7 million parameters",
        "1.4697 nats a character",
        "nanoGPT",
        "the same last tenth; a larger model, on a GPU",
    ),
    (
        "JSB Chorales, in sixteenths",
        "TonicNet",
        "0.220 nats a token",
        "Peracha 2019",
        "whole chorales; the name of a chord is the first of a step's five tokens",
    ),
)


def _cell(figures, column):
    names = [name for name in figures if name.partition("/")[0] == column and "inception-2015" not in name]
    if not names:
        return "-"
    figure = figures[names[0]]
    error = f" ± {figure['standard_error']:.1g}" if figure.get("standard_error") else ""
    kind = f" ({figure['kind']})" if "kind" in figure else ""
    return f"{figure['value']:.4g}{error}{kind}"


def leaderboard():
    """The Markdown text."""
    by_dataset = {}
    for entry in entries().values():
        if entry.metrics:
            by_dataset.setdefault(entry.recipe.dataset.title, []).append(entry)
    parts = [
        "# Leaderboard",
        "Made by `python tools/leaderboard.py` from every `metrics.json` of the zoo, where each figure has its "
        "protocol: `kerasgen compare A.json B.json` compares two and refuses what was measured otherwise. Unless a "
        "figure says Inception-2015, distances are in the features of the data set's own classifier, so they cannot "
        "be put beside published FIDs. ± is the standard error.",
    ]
    for dataset, found in sorted(by_dataset.items()):
        classifiers = [entry for entry in found if entry.recipe.model.class_name == "Classifier"]
        models = [entry for entry in found if entry not in classifiers]
        parts.append(f"## {dataset}")
        for entry in classifiers:
            parts.append(
                f"Measured with `{entry.name}`: accuracy {_cell(entry.metrics['metrics'], 'accuracy')} on the test set."
            )
        used = [c for c in COLUMNS if any(_cell(entry.metrics["metrics"], c) != "-" for entry in models)]
        if not models:
            continue
        rows = []
        for entry in models:
            facts = entry.metrics["training"]
            given = next(iter(entry.metrics["metrics"].values())).get("given")
            rows.append(
                [
                    f"`{entry.name}`" + (f", given each image at {' x '.join(map(str, given[:2]))}" if given else ""),
                    f"{entry.metrics['parameters']:,}",
                    f"{facts['hours']:.2g} h, {facts['hardware']}",
                    *(_cell(entry.metrics["metrics"], column) for column in used),
                ]
            )
        parts.append(markdown_table(["entry", "parameters", "training", *map(title, used)], rows))
    head = ["data", "model", "figure", "source", "why ours differs"]
    parts += ["## Published figures", markdown_table(head, PUBLISHED)]
    return "\n\n".join(parts) + "\n"


def main(_):
    path = zoo_folder() / "LEADERBOARD.md"
    path.write_text(leaderboard(), encoding="utf-8")
    print(f"written to {path}")


if __name__ == "__main__":
    app.run(main)
