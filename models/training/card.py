"""The parts of a model's card (README.md) that the tools write: between `<!-- PART: written by models/training/TOOL -->` and
`<!-- end of PART -->`. The rest of a card is written by hand."""

import re


def fill(directory, part, tool, text):
    """Puts `text` in place of what the part of the card in `directory` holds. A card without the two marks is left alone: False."""
    path = directory / "README.md"
    begin, end = f"<!-- {part}: written by models/training/{tool} -->", f"<!-- end of {part} -->"
    card = path.read_text(encoding="utf-8") if path.exists() else ""
    filled, count = re.subn(re.escape(begin) + ".*?" + re.escape(end), lambda _: f"{begin}\n\n{text}\n\n{end}", card, flags=re.DOTALL)
    if count:
        path.write_text(filled, encoding="utf-8")
    return count > 0
