"""Which labelled comments are trained on, with which weights, and what each label of theirs says about the heads.

A comment is a dict as in the files (`text`, `labels`, perhaps `targets`, `parent`, `twin`). What a source does not say is unknown
and masked. Two things are concluded: an acceptable comment (toxic = 0) commits none of the acts of ENTAILED; a comment that aims at
nobody because it is acceptable has no targets.

Besides the files of --data there are those of this folder: written/*.tsv, comments of our own (written/README.md says how they are
written), and corrections/*.tsv, new labels for lines of a noisy source, by the hash of their text. unseen/*.tsv is never drawn from.
"""

import hashlib
import json
import pathlib
from dataclasses import dataclass

import numpy as np

from labels import LABELS

# The head `toxic` is no label of a manifest: rude, crude or aggressive to an ordinary reader, as ToxiFrench, Jigsaw and Perspective mean it. It
# is wider than `abusive`, which leaves vulgarity and harsh criticism alone, and helps to score it where talk is rough.
TOXIC, WIDE = "toxic", "toxic_wide"  # the head, and its key in a row: there `toxic` is the key of `abusive`
HEADS = [*(label.name for label in LABELS), TOXIC]
# Acts that are abuse by definition: what is known to be acceptable has none of them.
ENTAILED = ("hate", "threat", "incitement", "denial", "terror-apology", "doxxing", "harassment", "insult")
# Groups as the other sources name them. A target without a head says that the comment aims at somebody else.
TARGETS = {
    "race": "target-origin",
    "immigrant": "target-origin",
    "religion": "target-religion",
    "muslim": "target-religion",
    "jew": "target-religion",
    "christian": "target-religion",
    "gender": "target-sex",
    "trans": "target-gender-identity",
    "orientation": "target-orientation",
    "disability": "target-disability",
    "political": "target-political",
}
KEYS = {"doxx": "doxxing", "misogyny": "target-sex"}
# One-sided labels teach the source instead of the label.
MASKED = {
    "more_gahd_de": ("toxic",),
    "more_stormfront_en": ("toxic",),
    "more_hatexplain_en": ("toxic",),
    "more_foxnews_en": ("toxic",),
    "more_edos_en": ("toxic", "threat"),
    "mlma_fr": ("threat",),
    "mlma_en": ("threat",),
}


# Files whose label `toxic` is the wider notion.
WIDE_SOURCES = (
    "toxifrench_agree", "rtplx_fr", "jigsaw_fr", "jigsaw_en", "surge_en", "more_jigsaw_wiki_en", "more_paradetox_en",
    "more_toldbr_pt", "more_tupy_pt", "more_goldtox_es", "written_forum3", "written_forum4", "written_forum5", "written_forum6", "written_forum7",
    "written_tweets3", "written_tweets4", "written_tweets5", "written_tweets6", "written_tweets7", "written_forum8", "written_forum9", "written_tweets8", "unseen_forum", "unseen_tweets",
)  # fmt: skip


@dataclass(frozen=True)
class Source:
    """A file of train/: how often its lines are drawn, against once, and how much each counts in the loss."""

    draws: float
    weight: float = 1.0


# French first, half of all draws; real comments are few and drawn often. Other languages come in small doses for rare labels and real
# registers, none more than an eighth of their half; German, Portuguese and Spanish only where --whole-vocabulary is given.
SOURCES = {
    "toxifrench_agree": Source(12.0),
    "rtplx_fr": Source(2.0),
    "jigsaw_fr": Source(1.5),
    "mlma_fr": Source(2.0),
    "umsab_fr": Source(1.5),
    "synthetic_fr": Source(0.5, 0.5),
    "written_contrast": Source(2.0),
    "written_insult_criticism": Source(2.0),
    "written_ordinary": Source(1.5),
    "written_origin_religion": Source(2.0),
    "written_sex_orientation_disability": Source(2.0),
    "written_threats": Source(2.0),
    "written_forum": Source(5.0),
    "written_forum2": Source(5.0),
    "written_tweets": Source(3.0),
    "written_tweets2": Source(3.0),
    "written_identity": Source(2.0),
    "written_implicit": Source(2.0),
    "written_urgent": Source(2.0),
    "written_criticism": Source(2.0),
    "written_forum3": Source(3.0),
    "written_forum4": Source(3.0),
    "written_forum5": Source(3.0),
    "written_forum6": Source(2.0),
    "written_tweets3": Source(2.5),
    "written_tweets4": Source(2.5),
    "written_tweets5": Source(2.5),
    "written_short": Source(4.0),
    "written_short2": Source(6.0),
    "written_short3": Source(6.0),
    "written_posts": Source(5.0),
    "written_posts2": Source(5.0),
    "written_posts3": Source(5.0),
    "written_posts4": Source(12.0),
    "written_threats2": Source(2.0),
    "written_threats3": Source(2.0),
    "written_identity2": Source(2.0),
    "written_implicit2": Source(2.0),
    "written_urgent2": Source(2.0),
    "written_criticism2": Source(2.0),
    "written_forum7": Source(2.5),
    "written_tweets6": Source(2.5),
    "written_identity3": Source(2.5),
    "written_counter": Source(2.5),
    "written_threats4": Source(2.5),
    "written_incitement": Source(2.5),
    "written_urgent3": Source(2.5),
    "written_criticism3": Source(2.5),
    "written_threats5": Source(3.0),
    "written_urgent4": Source(3.0),
    "written_urgent5": Source(3.0),
    "written_identity4": Source(3.0),
    "written_forum8": Source(3.0),
    "written_tweets7": Source(3.0),
    "written_threats6": Source(3.0),
    "written_threats7": Source(3.0),
    "written_urgent6": Source(3.0),
    "written_urgent7": Source(3.0),
    "written_identity5": Source(3.0),
    "written_counter2": Source(3.0),
    "written_forum9": Source(3.0),
    "written_tweets8": Source(3.0),
    "written_threats8": Source(4.0),
    "written_threats9": Source(4.0),
    "written_threats10": Source(4.0),
    "written_urgent8": Source(4.0),
    "written_grave": Source(4.0),
    "written_urgent9": Source(5.0),
    "written_urgent10": Source(5.0),
    "written_grave2": Source(5.0),
    "written_threats11": Source(5.0),
    "written_threats12": Source(5.0),
    "written_threats13": Source(6.0),
    "written_threats14": Source(6.0),
    "written_threats15": Source(6.0),
    "written_urgent11": Source(6.0),
    "written_urgent12": Source(6.0),
    "written_urgent13": Source(6.0),
    "written_urgent14": Source(6.0),
    "written_grave3": Source(6.0),
    "written_ordinary4": Source(6.0),
    "written_ordinary5": Source(12.0),
    "written_ordinary6": Source(12.0),
    "written_negated3": Source(12.0),
    "written_page": Source(12.0),
    "written_page2": Source(12.0),
    "written_identity6": Source(4.0),
    "written_negated": Source(5.0),
    "written_negated2": Source(5.0),
    "written_counter3": Source(4.0),
    "written_counter4": Source(4.0),
    "written_ordinary2": Source(3.0),
    "written_ordinary3": Source(3.0),
    "surge_en": Source(1.5),
    "jigsaw_en": Source(0.5),
    "more_jigsaw_wiki_en": Source(0.28),
    "more_foxnews_en": Source(0.4),
    "more_guest_misogyny_en": Source(0.1),
    "more_stormfront_en": Source(0.08),
    "davidson_en": Source(0.04, 0.5),
    "more_hatexplain_en": Source(0.06),
    "more_edos_en": Source(0.1),
    "more_paradetox_en": Source(0.03),
    "more_gahd_de": Source(0.22),
    "more_germeval2018_de": Source(0.28),
    "more_toldbr_pt": Source(0.11),
    "more_tupy_pt": Source(0.12, 0.7),
    "more_goldtox_es": Source(0.9),
}
TRIMMED_LANGUAGES = ("fr", "en")  # those that the vocabulary of the model covers
# Lines with a rare label are drawn this many times more often.
RARE = {"threat": 2.0, "doxxing": 3.0, "terror-apology": 3.0, "denial": 2.0, "distress": 3.0, "sexual": 2.0, "spam": 1.5, "harassment": 1.5}
# One group of near-identical lines in HELD_OUT_OF is kept aside for calibration, the same in every run.
HELD_OUT_OF = 6
SHORT_REPLY_WORDS = 5
# Files of lines that say nothing certain without what they stand under.
BOUND_FILES = ("written_posts", "written_posts2", "written_posts3", "written_posts4")
# Our own comments of at most so many words that answer nothing are read beside a post of these files now and then, which changes nothing about them.
# Posts about an attack or a death are not among them: under those a word of praise is not what it was.
POST_WORDS_MAX = 12
POST_FILES = ("criticism", "criticism2", "criticism3", "ordinary2", "ordinary3", "posts2", "short", "short2", "short3", "threats9")


def is_held_out(row):
    """Whether a line of train/ is kept for calibration: decided by its twin set, so that near-identical lines stay together."""
    key = row.get("twin") or row["text"]
    return hashlib.sha256(key.encode("utf-8")).digest()[0] % HELD_OUT_OF == 0


def needs_parent(row):
    """Whether a line says too little without what it answers: « oui » is distress or nothing."""
    return bool(row.get("parent")) and (row.get("bound", False) or len(row["text"].split()) <= SHORT_REPLY_WORDS)


HERE = pathlib.Path(__file__).resolve().parent
# Files in which what a line stands under is always a post.
POSTED_FILES = ("written_posts", "written_posts2", "written_page", "written_page2", "unseen_posts", "unseen_page", "page1", "page2")
FUNCTIONAL = "unseen_functional"  # there the name of the set says what a line tests
WRITTEN, CORRECTIONS, UNSEEN = HERE / "written", HERE / "corrections", HERE / "unseen"
# Acceptable comments under posts as they come in a usual week, all kinds in their proportions. Nothing is trained on them: calibrate.py measures on them
# how often an urgent label is wrong.
PAGES = HERE / "pages"
# Acts that make a comment abusive. `abusive` alone: toxic to other readers without being any of them.
ABUSIVE_ACTS = ("abusive", "hate", "threat", "incitement", "denial", "terror-apology", "doxxing", "harassment", "insult", "sexual")
ACT_KEYS = {label.name: label.key for label in LABELS if label.target is None}


def labels_of_codes(codes, wide=False):
    """Labels and targets of a line whose acts are all known: `hate,insult,@origin`; `-` for acceptable without any. `wide`: the absence
    of `toxic` says something too; elsewhere it is unknown for a line that is acceptable but vulgar."""
    names = [] if codes == "-" else codes.split(",")
    unknown = [name for name in names if name not in ACT_KEYS and name != TOXIC and not name.startswith("@")]
    if unknown:
        raise ValueError(f"unknown label {unknown[0]!r}; known: {', '.join(ACT_KEYS)} and @target")
    labels = {key: int(name in names) for name, key in ACT_KEYS.items()}
    labels["toxic"] = int(any(name in ABUSIVE_ACTS for name in names))
    if labels["toxic"] or wide or "vulgar" not in names:
        labels[WIDE] = int(labels["toxic"] or TOXIC in names)
    return labels, [name[1:] for name in names if name.startswith("@")]


def own_row(line, wide=False):
    """A line of written/*.tsv: text, codes, perhaps what it answers, perhaps the name of its contrast set."""
    text, codes, *rest = line.split("\t")
    labels, targets = labels_of_codes(codes, wide)
    row = {"text": text, "labels": labels, "targets": targets, "lang": "fr"}
    for name, value in zip(("parent", "twin"), rest, strict=False):
        if value:
            row[name] = value
    return row


def corrections(name):
    """New codes by the first 16 hexadecimal digits of the sha256 of a text; `?`: undecidable."""
    path = CORRECTIONS / f"{name}.tsv"
    return dict(line.split("\t") for line in path.read_text(encoding="utf-8").splitlines() if line) if path.exists() else {}


def read_lines(path):
    """The comments of a file: JSONL as in --data, with our corrections, or TSV of our own."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    wide = path.stem in WIDE_SOURCES
    if path.suffix == ".tsv":
        return [own_row(line, wide) | ({"bound": True} if path.stem in BOUND_FILES else {}) for line in lines]
    rows, better, toxic = [json.loads(line) for line in lines], corrections(path.stem), corrections(TOXIC)
    for row in rows:
        key = hashlib.sha256(row["text"].encode("utf-8")).hexdigest()[:16]
        codes = better.get(key)
        if codes == "?":
            row["labels"] = {}
        elif codes:
            row["labels"], row["targets"] = labels_of_codes(codes)
        elif wide and "toxic" in row["labels"]:
            row["labels"][WIDE] = row["labels"]["toxic"]
        if key in toxic:
            row["labels"].pop(WIDE, None)
            if toxic[key] != "?":
                row["labels"][WIDE] = int(toxic[key])
            if not codes and row["labels"].get(WIDE) != row["labels"].get("toxic"):
                row["labels"].pop("toxic", None)
    return rows


def source_path(folder, name):
    own = WRITTEN / f"{name}.tsv"
    return own if own.exists() else folder / "train" / f"{name}.jsonl"


def written_paths(folder):
    """Comments written for the project: those of --data and those of this folder."""
    return sorted((folder / "train").glob("written_*.jsonl")) + sorted(WRITTEN.glob("written_*.tsv"))


def truth(row, masked=()):
    """1, 0 or NaN (unknown) for every head, float32."""
    given = {key: value for key, value in row["labels"].items() if key not in masked}
    values = dict.fromkeys(HEADS, np.nan)
    for label in LABELS:
        if label.target is None and label.key in given:
            values[label.name] = given[label.key]
    for key, head in KEYS.items():
        if key in given:
            values[head] = given[key]
    for key, head in TARGETS.items():
        if given.get(key) == 1:
            values[head] = 1
    values[TOXIC] = given.get(WIDE, np.nan)
    toxic = given.get("toxic")
    if toxic == 0:
        for head in HEADS:
            if np.isnan(values[head]) and (head in ENTAILED or head.startswith("target-")):
                values[head] = 0
    elif toxic == 1 and row.get("targets"):
        for label in LABELS:
            if label.target is not None:
                own = any(name.startswith(label.target) or TARGETS.get(name) == label.name for name in row["targets"])
                values[label.name] = int(own)
    return np.array([values[head] for head in HEADS], dtype=np.float32)


class Pool:
    """All lines that may be drawn, with truth, weight in the loss, expected number of draws in one pass and
    whether they were written for this project."""

    def __init__(self, folder, sources=None, languages=TRIMMED_LANGUAGES, own_share=None):
        """`own_share`: the share of the draws that goes to lines written for this project, instead of what `sources` makes of it."""
        sources = SOURCES if sources is None else sources
        self.rows, truths, weights, draws, self.french, self.own, posts = [], [], [], [], [], [], set()
        for name, source in sources.items():
            if name.rpartition("_")[2] in ("de", "pt", "es") and name.rpartition("_")[2] not in languages:
                continue
            path = source_path(folder, name)
            if not path.exists():
                raise SystemExit(f"{path} is missing: give a folder with the files of mixing.py's SOURCES, or change that table")
            rows = [row for row in read_lines(path) if not is_held_out(row)]
            if name.removeprefix("written_") in POST_FILES:
                posts |= {row["parent"] for row in rows if row.get("parent")}
            for row, values in zip(rows, self.known(rows, MASKED.get(name, ())), strict=True):
                if np.isnan(values).all():
                    continue
                rare = max([boost for head, boost in RARE.items() if values[HEADS.index(head)] == 1], default=1.0)
                self.rows.append(row)
                self.french.append(row.get("lang", "fr") == "fr")
                self.own.append(name.startswith("written_"))
                truths.append(values)
                weights.append(source.weight)
                draws.append(source.draws * rare)
        self.posts = sorted(posts)
        self.truth, self.weights, self.draws = np.stack(truths), np.array(weights, dtype=np.float32), np.array(draws)
        self.french, self.own = np.array(self.french), np.array(self.own)
        if own_share is not None:
            own = self.draws[self.own].sum() / self.draws.sum()
            self.draws *= np.where(self.own, own_share / own, (1 - own_share) / (1 - own))

    @staticmethod
    def known(rows, masked):
        """The truth of the lines of one source (float32, [lines, heads]). What is toxic without an act says nothing about `abusive`: what is crude or
        hostile to one reader is protected speech here. Where no abusive line is left, the acceptable ones say nothing about it either:
        they would teach the manner of their source."""
        values, abusive = np.array([truth(row, masked) for row in rows]).reshape(-1, len(HEADS)), HEADS.index("abusive")
        crude = (values[:, abusive] == 1) & np.isnan(values[:, [HEADS.index(head) for head in ENTAILED]]).all(axis=1)
        values[crude, abusive] = np.nan
        if crude.any() and not (values[:, abusive] == 1).any():
            values[:, abusive] = np.nan
        return values

    def draw(self, random, count, french_only):
        """Indices of `count` lines: the whole part of the expected draws for certain, the rest by lot, as often as needed."""
        draws = self.draws * self.french if french_only else self.draws
        expected = draws * (count / draws.sum())
        times = np.floor(expected) + (random.random(len(draws)) < expected % 1)
        indices = np.repeat(np.arange(len(draws)), times.astype(int))
        random.shuffle(indices)
        return indices
