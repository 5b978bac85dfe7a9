"""The script that a researcher would write without memreg, as fairly as we can.

One process, torch's default threads, a DataLoader, the same network, data, subsets, schedule and number of
steps; one nested MLflow run per model with its params, its loss per epoch, its final metrics, and
an npz of its predictions.

    python benchmarks/plain_loop.py --members 40 --epochs 30 [--augment]
"""

import argparse
import tempfile
import time
from pathlib import Path

import mlflow
import numpy as np
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset, Subset, TensorDataset
from torchvision.transforms import RandomCrop

from memreg.data import load
from memreg.models import build

BATCH, RATE, WEIGHT_DECAY = 128, 0.2, 5e-4
Example = tuple[torch.Tensor, ...]  # an image and its label


class Augmented(Dataset[Example]):
    """A data set whose images go through a transform, as in torchvision's own examples."""

    def __init__(self, data: TensorDataset, transform: RandomCrop) -> None:
        self.data, self.transform = data, transform

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> Example:
        image, label = self.data[index]
        return self.transform(image), label


def train_one(
    model_name: str, dataset: Dataset[Example], everything: TensorDataset, n: int, epochs: int, seed: int
) -> None:
    """One model, one run."""
    torch.manual_seed(seed)
    included = np.sort(np.random.default_rng(seed).permutation(n)[: round(0.7 * n)])
    channels, height, width = everything.tensors[0].shape[1:]
    model = build(model_name, (channels, height, width), 10)
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE, momentum=0.9, weight_decay=WEIGHT_DECAY)
    loader = DataLoader(Subset(dataset, included.tolist()), batch_size=BATCH, shuffle=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        RATE,
        total_steps=epochs * len(loader),
        pct_start=0.2,
        anneal_strategy="linear",
        cycle_momentum=False,
    )
    with mlflow.start_run(nested=True, run_name=f"model {seed}"):
        mlflow.log_params(
            {"model": model_name, "epochs": epochs, "batch_size": BATCH, "learning_rate": RATE, "seed": seed}
        )
        for epoch in range(epochs):
            model.train()
            total = 0.0
            for x, y in loader:
                optimizer.zero_grad()
                loss = F.cross_entropy(model(x), y)
                loss.backward()
                optimizer.step()
                schedule.step()
                total += loss.item() * len(y)
            mlflow.log_metric("loss", total / len(included), step=epoch)
        model.eval()
        with torch.no_grad():
            p = torch.cat([model(x).softmax(1) for x, _ in DataLoader(everything, batch_size=512)])
        labels = everything.tensors[1]
        correct = (p.argmax(1) == labels).numpy()
        mlflow.log_metrics(
            {
                "test_accuracy": float(correct[n:].mean()),
                "included_accuracy": float(correct[:n][included].mean()),
            }
        )
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "predictions.npz"
            np.savez_compressed(
                path,
                included=included,
                predicted=p.argmax(1).numpy(),
                p_label=p.gather(1, labels[:, None]).numpy(),
                p_max=p.max(1).values.numpy(),
            )
            mlflow.log_artifact(str(path))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="vgg3-w16")
    parser.add_argument("--members", type=int, default=40)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--augment", action="store_true")
    arguments = parser.parse_args()
    digits = load("digits")

    def tensors(images: np.ndarray, labels: np.ndarray) -> TensorDataset:
        return TensorDataset(
            torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255, torch.from_numpy(labels)
        )

    plain = tensors(digits.train_images, digits.train_labels)
    everything = tensors(
        np.concatenate([digits.train_images, digits.test_images]),
        np.concatenate([digits.train_labels, digits.test_labels]),
    )
    train = Augmented(plain, RandomCrop(8, padding=1)) if arguments.augment else plain
    mlflow.set_experiment("plain loop")
    start = time.perf_counter()
    with mlflow.start_run(run_name="plain loop"):
        for seed in range(arguments.members):
            train_one(arguments.model, train, everything, digits.n_train, arguments.epochs, seed)
    print(f"seconds {time.perf_counter() - start:.2f}")


if __name__ == "__main__":
    main()
