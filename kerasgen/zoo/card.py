"""The card of a checkpoint, README.md: of its recipe, metrics.json and log.csv, with no number from elsewhere."""

import csv
from pathlib import Path

from huggingface_hub import ModelCardData

MEANINGS = {
    "mean_squared_error": "mean squared error of reconstructions, pixels in [0, 1]",
    "bits_per_dim": "bits per dimension",
    "nats_per_image": "-log p(x), nats per binary image",
}


def _rows(metrics):
    for name, figure in metrics.items():
        value = f"{figure['value']:.4g}"
        if figure.get("standard_error") is not None:
            value += f" ± {figure['standard_error']:.1g}"
        how = [figure["kind"], f"{figure['pixels']} pixels"] if "kind" in figure else []
        if "dequantization" in figure:
            how.append(f"{figure['dequantization']} dequantization")
        if "num_importance_samples" in figure:
            how.append(f"{figure['num_importance_samples']} importance samples")
        how.append(f"{figure['n']} images of `{figure['split']}`")
        yield f"| {MEANINGS.get(name, name.replace('_', ' '))} | {value} | {', '.join(how)} |"


def _curve(log):
    """A table of the losses, a line an epoch; of long runs some twenty epochs, the last one among them."""
    names = [name for name in ("loss", "val_loss") if name in log[0]]
    stride = -(-len(log) // 20)
    rows = [row for index, row in enumerate(log) if (len(log) - 1 - index) % stride == 0]
    head = ["epoch", *({"loss": "training", "val_loss": "validation"}[name] for name in names)]
    lines = [head, ["---"] * len(head), *([row["epoch"], *(row[name] for name in names)] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def card(recipe, report, log):
    """The Markdown text of the card; `log` is the rows of log.csv."""
    dataset, training, facts = recipe.dataset, recipe.training, report["training"]
    title = dataset.title or dataset.source
    front = ModelCardData(
        library_name="keras",
        tags=["kerasgen", recipe.model.class_name],
        datasets=None if "/" in dataset.source else [dataset.source],
    )
    source = f"[{title}]({dataset.url})" if dataset.url else title
    terms = "".join(f" {text}" for text in (dataset.license and f"Licence: {dataset.license}.", dataset.terms) if text)
    temperature = recipe.evaluation.temperature
    arguments = ", labels=3" if recipe.model.config.get("num_classes") else ""
    arguments += f", temperature={temperature:g}" if temperature != 1.0 else ""
    metrics = "\n".join(_rows(report["metrics"]))
    return f"""---
{front.to_yaml()}
---

# {recipe.name}

{recipe.description}

![samples](samples.png)

{recipe.evaluation.num_samples} samples, seed {recipe.evaluation.seed}, temperature {temperature:g}, not picked.

```python
import kerasgen

model = kerasgen.load("{recipe.name}")
images = model.sample(16{arguments})  # float32 [16, height, width, channels] in [0, 1]
```

## Measured

`kerasgen evaluate {recipe.name} --split {recipe.evaluation.split}` ({report["seconds"]} s on \
{report["evaluation"]["hardware"]}, {report["evaluation"]["backend"]}):

| figure | value | how |
| --- | --- | --- |
{metrics}

## Training

- Data: {source}, split `{dataset.train_split}`.{terms}
- Recipe: `recipe.toml` here; `kerasgen train {recipe.name} --workdir DIR` repeats it.
- {report["parameters"]:,} parameters, {facts["epochs"]} epochs, {facts["steps"]:,} steps of {training.batch_size}; \
{facts["hours"]} hours on {facts["hardware"]} ({facts["backend"]}).

The loss, of which `log.csv` has the parts:

{_curve(log)}

## Use and limits

For research, teaching and tests of image models. It knows nothing but images like those of {title} at the size \
{" x ".join(map(str, recipe.model.config.get("image_shape", (28, 28, 1))))}, with whatever bias is in them.
"""


def write_card(recipe, report, folder):
    """Writes `folder`/README.md; log.csv is there already."""
    with open(Path(folder) / "log.csv", newline="") as file:
        log = list(csv.DictReader(file))
    (Path(folder) / "README.md").write_text(card(recipe, report, log))
