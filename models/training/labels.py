"""What the labels of a manifest mean in the labelled data, and how each is fitted and used."""

from dataclasses import dataclass

# How a label is used when a comment is routed:
#   signal      to a person above the threshold, hidden only where a policy says so
#   urgent      to a person at once
#   protected   above the threshold a comment counts as protected speech and is never hidden by the machine
#   descriptive recorded, decides nothing
USES = ("signal", "urgent", "protected", "descriptive")


@dataclass(frozen=True)
class Label:
    """One label: its name, the key in the data, its use, and the only head it is read from (Platt scaling), if any."""

    name: str
    key: str
    use: str
    head: str | None = None
    target: str | None = None

    def value(self, row):
        """1, 0 or None (unknown) for one row of data."""
        if self.target is None:
            return row["labels"].get(self.key)
        if "targets" not in row or row["labels"].get("toxic") is None:
            return None
        aims = any(target.startswith(self.target) for target in row["targets"])
        return int(aims and row["labels"]["toxic"] == 1)


LABELS = [
    Label("abusive", "toxic", "signal", head="toxic"),
    Label("hate", "hate", "signal"),
    Label("threat", "threat", "urgent"),
    Label("incitement", "incitement", "signal"),
    Label("denial", "denial", "signal"),
    Label("terror-apology", "terror_apology", "urgent"),
    Label("doxxing", "doxxing", "urgent"),
    Label("harassment", "harassment", "urgent"),
    Label("insult", "insult", "signal"),
    Label("sexual", "sexual", "signal"),
    Label("spam", "spam", "signal"),
    Label("distress", "distress", "urgent"),
    Label("vulgar", "vulgar", "protected"),
    Label("criticism", "criticism", "protected"),
    Label("counter-speech", "counter_speech", "protected"),
    Label("target-origin", "", "descriptive", target="origin"),
    Label("target-religion", "", "descriptive", target="religion"),
    Label("target-sex", "", "descriptive", target="sex"),
    Label("target-orientation", "", "descriptive", target="orientation"),
    Label("target-gender-identity", "", "descriptive", target="gender-identity"),
    Label("target-disability", "", "descriptive", target="disability"),
    Label("target-political", "", "descriptive", target="elected"),
]

INSULT = next(label for label in LABELS if label.name == "insult")

# A label is left out of the manifest below these: a coin would be as good, or nobody could tell.
POSITIVES_MIN = 30
AUC_MIN = 0.65

# Review: the share of acceptable comments that may go over the threshold, per caution level and use. The lines this is measured on are look-alikes written
# to be hard; of the comments of a page far fewer go over (the card says how many).
# Protected: the share of insults that may pass as protected speech.
FALSE_ALARMS = {
    "careful": {"abusive": 0.15, "signal": 0.03, "urgent": 0.01, "threat": 0.03, "distress": 0.015, "harassment": 0.02, "terror-apology": 0.02, "protected": 0.25},
    "balanced": {"abusive": 0.08, "signal": 0.015, "urgent": 0.005, "threat": 0.015, "distress": 0.008, "harassment": 0.01, "terror-apology": 0.01, "protected": 0.05},
    "firm": {"abusive": 0.05, "signal": 0.015, "urgent": 0.003, "threat": 0.01, "distress": 0.005, "protected": 0.02},
}
# The same for urgent labels of a network with own heads (own_heads.py), of the comments of PAGES (mixing.py), which come as on the pages of ministries and
# museums. Each false alarm interrupts a person, and what is missed may cost a life. Measured on look-alikes written to be hard, the thresholds missed half of the new
# distress; measured on tweets, forums and lines written for training, they let two to three times as many memories and condolences of such pages pass for distress and
# praise of terror as was meant. Distress may cost more than the others: at one false alarm in a hundred half of it is missed. Such pages have little that looks like
# harassment or doxxing, so that these may cost less.
URGENT_FALSE_ALARMS = {
    "careful": {"threat": 0.02, "distress": 0.05, "harassment": 0.01, "terror-apology": 0.02, "doxxing": 0.005},
    "balanced": {"threat": 0.01, "distress": 0.03, "harassment": 0.005, "terror-apology": 0.01, "doxxing": 0.0025},
    "firm": {"threat": 0.005, "distress": 0.015, "harassment": 0.0025, "terror-apology": 0.005, "doxxing": 0.0025},
}
# Hide by score alone, where the policy lists the act: at most this share of what is hidden may be acceptable (None: no score alone
# hides), with confidence 1 - HIDE_DOUBT on comments like those that the thresholds were chosen on (risk.py).
HIDE_RISK = {"careful": None, "balanced": 0.02, "firm": 0.05}
HIDE_DOUBT = 0.05
# A policy lists acts; these two labels are none, so nothing is hidden because of them alone.
NO_ACT = ("abusive", "hate")

# Written into the manifest with their scores, so that the tests of the service can compare.
# Text, and what it answers or None.
EXAMPLES = [
    ("Merci pour cette belle exposition, les enfants ont adoré !", None),
    ("Deux heures de queue et trois salles fermées, c'est scandaleux.", None),
    ("T'es vraiment un pauvre con, dégage.", None),
    ("Gagnez 500 € par jour sans rien faire, cliquez sur mon profil 👉", None),
    ("Qu'ils rentrent chez eux, on n'en veut pas ici.", "Une famille syrienne accueillie par la commune"),
]
