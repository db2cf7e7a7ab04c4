"""What Spanish-speaking shoppers negate with."""

from recbole_whisperlite.data.negation.phrases import Phrases

_THE = "(?: (?:el|la|los|las|un|una))?"

SPANISH = Phrases(
    beginning=(
        "(?:todo|cualquier cosa) menos",
        "(?:ya |yo )?no (?:quiero|queremos|quisiera|soporto|busco|necesito|uso|llevo|aguanto)"
        f"(?: nada(?: de)?)?{_THE}",
        f"no me (?:gusta|gustan|pongo|van|va|convencen?|interesan?)(?: nada)?{_THE}(?= ?\\w)",
        "que no (?:sea|sean|tenga|tengan|lleve|lleven|esté|vaya)(?: (?:muy|tan|demasiado))?"
        f"(?: de)?{_THE}",
        f"(?:odio|detesto|evitar?|evite|evita){_THE}",
        "nada (?:de|con|en|que sea)",
        "nada(?: (?:demasiado|muy|tan))?",
        "ning[uú]n[ao]?s?",
        "ni",
        "sin(?: (?:ning[uú]n[ao]?|tant[ao]s?|demasiad[ao]s?))?",
        "(?:nunca|jamás)",
        "tampoco",
        f"(?:excepto|salvo){_THE}",
        "(?:en vez|en lugar|lejos|har[ao]|cansad[ao]) de",
        "alérgic[ao] (?:al|a la|a los|a las|a)",
        "libre de",
        "no(?: (?:demasiado|muy|tan|es|sea))?",
    ),
    ending=(
        "no me (?:gusta|gustan|va|van|queda bien|quedan bien|sirven?|convencen?)(?= *$)",
        "(?:no es|no son) (?:lo m[ií]o|para m[ií])",
        "ni hablar",
        "(?:está|están|queda|quedan) (?:descartad[ao]s?|fuera)",
        "mejor no(?= *$)",
    ),
    pseudo=(
        "no (?:solo|sólo|solamente|únicamente|necesariamente)",
        "no (?:me )?importa",
        "no (?:hay |es )?(?:problema|prisa)",
        "no (?:estoy segur[ao]|sé|pasa nada|está mal|tengo (?:preferencia|prisa|ni idea))",
        "(?:por|y por) ?qu[eé] no",
        "nada (?:más|menos) que",
        "no (?:más|menos) (?:de|que|larg[ao]|cort[ao]|grande|pequeñ[ao])",
        "sin (?:duda|problemas?|prisa|embargo|falta|más)",
        "nunca (?:demasiad[ao]s?|suficientes?)",
        "si no",
        "o no",
    ),
    referring_back="(?:así que |pero |entonces )?(?:es[aoe]s?|est[aoe]s?) no",
    scope_ends=("para", "con", "en", "pero", "porque", "ya que", "así que"),
    clause_ends=("pero", "sino", "aunque", "sin embargo"),
    no_nouns=(
        "una?|unos|unas|el|la|los|las|este|esta|ese|esa|mi|mis|algo|algún|alguna",
        "yo|nosotros|tú|él|ella|ellos|me|que|solo|sólo|quizás?|tal vez|mejor|preferiblemente",
        "entonces|también|quiero|quisiera|busco|necesito|gustaría|gusta|gustan|prefiero",
        "soy|es|son|era|será|sería|puede|debe|tengo|tiene|por favor|gracias",
    ),
    coordination=("o", "u", "ni", "y", "e"),
    polite=("por favor", "gracias"),
)
