"""Short comments made from parts, where the errors of the first models are: a group named in peace, a reproach that is denied or
reported, the vocabulary of museums, and the same frames with contempt, so that neither the group nor the frame decides.

Each comment has the same labels as a written line. The frames are our own; nothing follows a functional test.
"""

from mixing import HEADS

# Plural, singular, target.
GROUPS = [
    ("les Arabes", "arabe", "target-origin"), ("les Maghrébins", "maghrébin", "target-origin"), ("les Noirs", "noir", "target-origin"),
    ("les Africains", "africain", "target-origin"), ("les Roms", "rom", "target-origin"), ("les gitans", "gitan", "target-origin"),
    ("les Asiatiques", "asiatique", "target-origin"), ("les Chinois", "chinois", "target-origin"), ("les migrants", "migrant", "target-origin"),
    ("les immigrés", "immigré", "target-origin"), ("les réfugiés", "réfugié", "target-origin"), ("les Turcs", "turc", "target-origin"),
    ("les Blancs", "blanc", "target-origin"), ("les Algériens", "algérien", "target-origin"), ("les Antillais", "antillais", "target-origin"),
    ("les musulmans", "musulman", "target-religion"), ("les juifs", "juif", "target-religion"), ("les chrétiens", "chrétien", "target-religion"),
    ("les catholiques", "catholique", "target-religion"), ("les femmes voilées", "voilée", "target-religion"),
    ("les femmes", "femme", "target-sex"), ("les féministes", "féministe", "target-sex"), ("les hommes", "homme", "target-sex"),
    ("les homosexuels", "homosexuel", "target-orientation"), ("les gays", "gay", "target-orientation"), ("les lesbiennes", "lesbienne", "target-orientation"),
    ("les bisexuels", "bi", "target-orientation"), ("les trans", "trans", "target-gender-identity"), ("les femmes trans", "trans", "target-gender-identity"),
    ("les non-binaires", "non binaire", "target-gender-identity"), ("les handicapés", "handicapé", "target-disability"), ("les autistes", "autiste", "target-disability"),
    ("les trisomiques", "trisomique", "target-disability"), ("les sourds", "sourd", "target-disability"), ("les aveugles", "aveugle", "target-disability"),
    ("les personnes en fauteuil", "en fauteuil", "target-disability"),
]  # fmt: skip
NEUTRAL = [
    "{P} étaient nombreux à la visite de dimanche", "Mon voisin est {s} et il vient ici chaque mois", "Être {s} aujourd'hui, ce n'est pas simple tous les jours",
    "Une salle entière sur {p}, enfin, j'ai appris plein de choses", "Je suis {s} et je me suis senti bien accueilli", "{P} ont leur place dans ce pays comme tout le monde",
    "Est-ce que {p} ont un tarif réduit ?", "Ma fille est {s}, y a-t-il une visite pour elle ?", "Merci d'avoir donné la parole à des artistes qu'on ne voit jamais : {p}",
    "Ma meilleure amie est {s} et elle a adoré le film", "Combien sont {p} dans la région ? Vous avez un chiffre ?", "Fier d'être {s}, bon courage à toute l'équipe",
    "{P} et les autres, tout le monde dansait sur la place hier soir", "Le guide nous a raconté comment {p} vivaient ici en 1900", "J'admire {p} qui se battent pour leurs droits",
    "Avec {p} de mon immeuble on fait la fête des voisins vendredi", "Le médecin qui m'a sauvé la vie est {s}", "Un documentaire sur {p} passe ce soir à 21h",
    "Pourquoi {p} sont-ils si peu représentés dans vos collections ?", "Bonne fête à tous, et surtout à {p}", "Ça fait vingt ans que je travaille avec {p}, que des bons souvenirs",
]  # fmt: skip
COUNTER = [
    "Dire que {p} sont {c}, c'est honteux et c'est faux", "Non, {p} ne sont pas {c}", "Arrêtez de traiter {p} comme ça, ce sont nos voisins",
    "Quelqu'un a écrit que {p} sont {c} : signalez ce commentaire", "On m'a crié « retourne chez toi » parce que je suis {s}, j'en tremble encore",
    "Ceux qui insultent {p} ici devraient avoir honte", "Personne ne devrait entendre que {p} sont {c}", "Mon grand-père entendait déjà que {p} étaient {c}. Rien n'a changé.",
    "Je ne laisserai personne dire que {p} sont {c}", "« {P} sont {c} » : voilà ce que mon fils entend à l'école", "Il est faux que {p} soient {c}, lisez un livre",
    "La haine contre {p} n'est pas une opinion, c'est un délit", "Qui ose encore croire que {p} sont {c} en 2026 ?", "Je n'ai jamais dit que je détestais {p}, au contraire",
    "Je ne pense pas une seconde que {p} soient {c}", "Personne de sérieux ne croit que {p} sont {c}", "Être {s} ne rend personne inférieur", "{P} ne sont ni {c} ni {d}, fin du débat",
    "Être {s} n'est ni une tare ni une faute", "{P} ne méritent pas qu'on leur parle ainsi", "Rien ne permet de dire que {p} sont {c}", "{P} n'ont jamais été {c}, arrêtez",
    "Je refuse qu'on dise ici que {p} sont {c}", "Ce que vous écrivez sur {p} tombe sous le coup de la loi", "Vos mots sur {p} me donnent la nausée, retirez-les",
    "Contrairement à ce que racontent certains, {p} ne sont pas {c}", "On peut être {s} sans que cela regarde quiconque", "Cessez de cracher sur {p} à chaque publication",
]  # fmt: skip
HATEFUL = [
    "{P} sont tous {c}", "Dehors {p}, on est chez nous", "Encore {p}... ils sont {c}, point", "Je ne supporte pas {p}, ils me dégoûtent",
    "Un musée pour {p} ? Ces gens-là sont {c}", "Si t'es {s}, dégage de ce pays", "{P} n'ont rien à faire ici, qu'on les renvoie", "On sait tous que {p} sont {c}",
    "Le problème c'est {p}, il faut s'en débarrasser", "J'ai rien contre {p} mais ils sont {c}", "{P} valent moins que mon chien", "Ras le bol de payer pour {p}, tous {c}",
    "Normal qu'il comprenne rien, il est {s}", "Plus je vois {p}, plus ça me donne envie de vomir", "Faudrait interdire l'entrée à {p}", "Sale {s}, t'as rien à faire là",
    "{P} ne sont pas des gens comme nous", "{P} ne changeront jamais, ils sont {c}", "Je ne laisserai jamais ma fille sortir avec un {s}", "{P} ne sont pas seulement {c}, ils sont {d}",
    "Personne ne veut de {p} dans son quartier", "Qu'on ne me dise pas que {p} ne sont pas {c}", "{P} ne savent faire que du mal", "Aucun de {p} ne devrait avoir le droit de vote",
]  # fmt: skip
CONTEMPT = ["des parasites", "des voleurs", "des sous-hommes", "des dégénérés", "des menteurs", "dangereux", "inférieurs", "des rats", "la honte du pays", "des malades", "une plaie", "des assistés"]
ORDINARY = [
    ("Le nu de la salle 4 est magnifique, quelle chair, quelle lumière", ()), ("La salle des armes et des poignards a passionné mon fils", ()),
    ("L'exposition sur l'esclavage est bouleversante, à voir absolument", ()), ("Une tuerie cette expo, on est restés trois heures", ()),
    ("Ce spectacle m'a tué de rire", ()), ("Le massacre des Innocents de Poussin, quel choc", ()), ("La décollation de saint Jean est mieux éclairée qu'avant", ()),
    ("Où sont passés les crânes et les squelettes de la galerie d'anatomie ?", ()), ("Vivement l'exécution de l'œuvre par l'orchestre jeudi", ()),
    ("Votre site est une merde, impossible de réserver", ("vulgar", "criticism")), ("Deux heures de queue, vous vous foutez de nous", ("vulgar", "criticism")),
    ("Putain que c'est beau cette verrière !", ("vulgar",)), ("Bordel enfin une nocturne le vendredi", ("vulgar",)), ("Quelle politique lamentable, le ministre doit partir", ("criticism",)),
    ("Cette réforme est une honte, vous tuez l'hôpital public", ("criticism",)), ("On va se battre contre ce projet jusqu'au bout, tous à la manif samedi", ("criticism",)),
    ("Vos tarifs sont un scandale, on nous prend pour des vaches à lait", ("criticism",)), ("La bombe de la Seconde Guerre trouvée sur le chantier est désamorcée ?", ()),
    ("Le tireur à l'arc du deuxième étage est superbe", ()), ("Ma grand-mère est morte ici en 1944, merci pour cette plaque", ()),
    ("Quelqu'un a l'adresse du musée et les horaires ?", ()), ("Écrivez à contact@musee.example pour les groupes", ()),
]  # fmt: skip
ABUSE = ("hate", "threat", "incitement", "denial", "terror-apology", "doxxing", "harassment", "insult", "sexual")


def fill(frame, group, random):
    plural, single, _ = group
    contempt, more = random.choice(CONTEMPT, 2, replace=False)
    text = frame.format(p=plural, P=plural[0].upper() + plural[1:], s=single, c=contempt, d=more)
    for full, short in ((" de les ", " des "), (" à les ", " aux "), (" ni des ", " ni ")):
        text = text.replace(full, short)
    return text


def labels(positive):
    """Truth for all heads: 1 for the given ones, 0 for other acts and targets, unknown for what these frames do not settle."""
    known = dict.fromkeys(HEADS, float("nan"))
    for head in (*ABUSE, "abusive", "spam", "distress", *(head for head in HEADS if head.startswith("target-"))):
        known[head] = 0.0
    known |= dict.fromkeys(positive, 1.0)
    return [known[head] for head in HEADS]


def make(random):
    """A text and its truth."""
    group = GROUPS[random.integers(len(GROUPS))]
    kind = random.random()
    if kind < 0.30:
        return fill(str(random.choice(NEUTRAL)), group, random), labels(())
    if kind < 0.52:
        return fill(str(random.choice(COUNTER)), group, random), labels(("counter-speech",))
    if kind < 0.85:
        return fill(str(random.choice(HATEFUL)), group, random), labels(("abusive", "hate", group[2]))
    text, positive = ORDINARY[random.integers(len(ORDINARY))]
    return text, labels(positive)
