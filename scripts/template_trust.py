"""Where does a template's contact hold? The trust from which a head that sees templates starts.

A logistic regression on the contacts that the two nearest templates of training chains have, 12
residues or more apart: does the chain have them, too? It is linear in what `TemplateTrust` sees of
both residues, so its weights are what `SIGNIFICANCE` and `SIMILARITY` are in
protcontact/models/templates.py.

    pip install -c constraints.txt -e '.[pretrained]'
    python scripts/template_trust.py chains
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from protcontact.data.datamodule import ContactDataModule
from protcontact.data.progress import progress
from protcontact.data.templates import aligned_template
from protcontact.models.templates import DOUBT, SUREST
from protcontact.structure.contacts import CUTOFF

TEMPLATES = 2  # of each chain, the nearest
SEPARATION = 12  # residues
TINY = 1e-30  # so that an E-value of 0 has a logarithm


def contacts(data: ContactDataModule, row: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """What is known of a chain's template contacts.

    Yields:
        For each template, ``(n, 9)``: significance and similarity, and ``(n,)``: whether they hold.
    """
    codes, coordinates = data.store.arrays(row)
    true = np.linalg.norm(coordinates[:, None] - coordinates, axis=-1)
    for template in data.templates[row][:TEMPLATES]:
        aligned = aligned_template(template, data.store, codes)
        distance = np.linalg.norm(aligned.coordinates[:, None] - aligned.coordinates, axis=-1)
        i, j = np.where((distance < CUTOFF) & np.isfinite(true))
        far = j - i >= SEPARATION
        i, j = i[far], j[far]
        sure = -np.clip(np.log(DOUBT * template.evalue + TINY), -SUREST, SUREST)
        alike = aligned.similarity[i] + aligned.similarity[j]
        yield np.column_stack([np.full(len(i), sure), alike]), true[i, j] < CUTOFF


def gathered(data: ContactDataModule, rows: list[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features, truth and weight of all contacts; a template with many weighs less than its sum."""
    features, truth, weight = [], [], []
    with progress("chains", len(rows)) as advance:
        for row in rows:
            for known, holds in contacts(data, row):
                features.append(known)
                truth.append(holds)
                weight.append(np.full(len(holds), len(holds) ** -0.5 if len(holds) else 0.0))
            advance(1, data.store.ids[row])
    return np.concatenate(features), np.concatenate(truth), np.concatenate(weight)


def main() -> None:
    """Fit on every third training chain, print the weights, and how they rank on validation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="data set with templates (`protcontact templates`)")
    data = ContactDataModule(str(parser.parse_args().data))
    data.setup("fit")
    x, y, weight = gathered(data, [*data.rows("train")][::3])
    found = LogisticRegression(C=1e3, max_iter=2000, fit_intercept=False).fit(x, y, weight)
    print("SIGNIFICANCE", round(float(found.coef_[0, 0]), 2))
    print("SIMILARITY", [round(float(value), 2) for value in found.coef_[0, 1:]])
    x, y, _ = gathered(data, [*data.rows("val")])
    alone, all_of_it = roc_auc_score(y, x[:, 0]), roc_auc_score(y, found.decision_function(x))
    print(f"validation, AUROC: {all_of_it:.3f}; of the E-value alone: {alone:.3f}")


if __name__ == "__main__":
    main()
