"""The whole model, as the cascade sees it: its scores, whom it would ask, and the parts of its manifest that programs write."""

import tomllib

import numpy as np
from scipy.special import logit

from calibrate import MARKER, Network
from labels import LABELS


class Whole:
    """The scores of the whole model and whom it would ask."""

    USES = {label.name: label.use for label in LABELS}

    def __init__(self, directory):
        self.manifest = tomllib.loads((directory / "manifest.toml").read_text(encoding="utf-8"))
        if "first_stage" not in self.manifest:
            raise SystemExit(f"{directory} has no first stage: name one in its manifest, [first_stage]")
        self.network = Network(directory, self.manifest)
        self.labels = {label["label"]: label for label in self.manifest["labels"]}

    def values(self, logits):
        """Calibrated logit of each label: float, [texts]."""

        def of(label):
            return logits @ np.array([label["weights"].get(head, 0.0) for head in self.network.heads]) + label["bias"]

        return {name: of(label) for name, label in self.labels.items()}

    def margin(self, values, level):
        """By how much, as a difference of logits, the label nearest to asking a person is over its threshold at a level: float, [texts]."""
        thresholds = {name: entry["review"] for name, entry in self.manifest["thresholds"][level].items() if self.USES[name] in ("signal", "urgent")}
        return np.max([values[name] - logit(threshold) for name, threshold in thresholds.items()], axis=0)


def put_section(directory, begin, end, lines):
    """Writes `lines` into the manifest between the comments `begin` and `end`: in place of what stands there, else before what calibrate.py writes."""
    path = directory / "manifest.toml"
    manifest = path.read_text(encoding="utf-8")
    section = "\n".join([begin, *lines, end]) + "\n"
    if begin in manifest:
        before, rest = manifest.split(begin, 1)
        manifest = before + section + rest.split(end, 1)[1].removeprefix("\n")
    else:
        before, marker, after = manifest.partition(MARKER)
        manifest = before.rstrip("\n") + "\n\n" + section + "\n" + marker + after
    path.write_text(manifest, encoding="utf-8")
