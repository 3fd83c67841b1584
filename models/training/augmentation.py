"""Comments as they are written online: the same text disguised, misspelt, shouted. Abusive and acceptable lines alike, so that a
disguise is no sign of abuse by itself; the labels stay.
"""

import unicodedata

LEET = {"a": "4@", "e": "3€", "i": "1!", "o": "0", "s": "5$", "t": "7", "b": "8", "g": "9"}
HOMOGLYPHS = dict(zip("aceiopxy", "асеіорху", strict=True))
KEYBOARD = {"a": "zq", "e": "zr", "i": "uo", "o": "ip", "u": "yi", "n": "b,", "t": "ry", "s": "qd", "r": "et", "l": "km"}
SHORT = {
    "c'est": "c", "que": "ke", "qui": "ki", "quand": "qd", "pour": "pr", "vous": "vs", "nous": "ns", "tout": "tt", "tous": "ts",
    "toujours": "tjs", "avec": "avc", "dans": "ds", "parce": "pcq", "beaucoup": "bcp", "je suis": "chui", "quoi": "koi", "pas": "pa",
    "même": "mm", "mais": "mé", "maintenant": "mtn", "rien": "r1", "bien": "b1", "c'était": "c t", "aussi": "oci", "êtes": "ete",
}  # fmt: skip
TAILS = ["", " !", " !!!", "...", " 😂", " 🙏", " 😡", " 👍", " lol", " mdr", " svp", " ?!", " 🤡", " ❤️", " wsh", "\n"]
HEADS = ["", "@user ", "Bonjour, ", "Franchement ", "mdr ", "Non mais ", "Et alors ? ", "@user @user ", "Bon. ", "LIEN "]


def strip_accents(text):
    return "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))


def strip_punctuation(text):
    return " ".join("".join(c if c.isalnum() or c in "'’-" else " " for c in text).split())


def full_width(word):
    return "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in word)


def disguise(word, random):
    """One word in one of the ways that filters meet."""
    way = random.integers(7)
    if way == 0:
        return "".join(random.choice(list(LEET[c.lower()])) if c.lower() in LEET and random.random() < 0.6 else c for c in word)
    if way == 1:
        return random.choice([".", " ", "-", "_", "*"]).join(word)
    if way == 2:
        place = random.integers(len(word))
        return word[:place] + word[place] * int(random.integers(2, 6)) + word[place:]
    if way == 3:
        return "".join(HOMOGLYPHS.get(c, c) for c in word)
    if way == 4:
        return full_width(word)
    if way == 5:
        place = random.integers(1, len(word))
        return word[:place] + "\u200b" + word[place:]
    return word[0] + "*" * (len(word) - 2) + word[-1]


def misspell(word, random):
    place = int(random.integers(1, len(word)))
    way = random.integers(4)
    if way == 0:
        return word[: place - 1] + word[place] + word[place - 1] + word[place + 1 :]
    if way == 1:
        return word[:place] + word[place + 1 :]
    if way == 2:
        return word[:place] + word[place] + word[place:]
    near = KEYBOARD.get(word[place].lower())
    return word[:place] + random.choice(list(near)) + word[place + 1 :] if near else word


def shorten(text):
    words = [SHORT.get(word.lower(), word) for word in text.split(" ")]
    return " ".join(words)


def change_words(text, random, change, share):
    words = text.split(" ")
    long = [place for place, word in enumerate(words) if len(word) >= 4]
    if not long:
        return text
    count = max(1, int(len(long) * share))
    for place in random.choice(long, size=min(count, len(long)), replace=False):
        words[place] = change(words[place], random)
    return " ".join(words)


def augment(text, random):
    """The text changed in zero to three ways."""
    if random.random() < 0.40:
        return text
    if random.random() < 0.12:
        text = change_words(text, random, disguise, 0.15)
    if random.random() < 0.20:
        text = change_words(text, random, misspell, 0.10)
    if random.random() < 0.15:
        text = shorten(text)
    if random.random() < 0.30:
        text = text.lower()
    elif random.random() < 0.06:
        text = text.upper()
    if random.random() < 0.20:
        text = strip_accents(text)
    if random.random() < 0.15:
        text = strip_punctuation(text) or text
    if random.random() < 0.15:
        text = text + str(random.choice(TAILS))
    if random.random() < 0.10:
        text = str(random.choice(HEADS)) + text
    return text
