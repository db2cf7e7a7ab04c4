"""What French-speaking shoppers negate with."""

from recbole_whisperlite.data.negation.phrases import Phrases

_NOT = "(?:ne |n')?"
_OF = "(?: (?:de la|de|des|du|les?|la|une?)| d'| de l'| l')?"

FRENCH = Phrases(
    beginning=(
        "tout sauf",
        "(?:je |on )?(?:ne |n')?(?:veux|aime|aimons|supporte|porte|mets|souhaite|cherche|"
        f"voudrais|apprécie)(?: surtout| vraiment| plus)? pas(?: trop)?{_OF}",
        f"(?:je |on )?(?:ne |n')(?:veux|aime|porte|mets|supporte) (?:plus|jamais){_OF}",
        "(?:je )?(?:déteste|hais|refuse)(?: (?:les?|la))?",
        "(?:surtout |mais )?pas (?:trop|très|si|aussi|question)(?: de| d')?",
        f"(?:surtout )?pas{_OF}",
        "sans(?: (?:aucune?|trop de|les?|la))?(?: l')?",
        "ni",
        "aucune?s?",
        "jamais(?: de)?",
        "sauf(?: (?:les?|la|du|de la|des))?",
        "excepté",
        "hormis",
        "à l'exception (?:de|du|des)",
        "au lieu (?:de|du|des|d')",
        "plutôt (?:que|qu')(?: (?:de|du|des))?",
        "(?:à )?évite[rz]?(?: (?:les?|la))?",
        "(?:rien|quelque chose) (?:qui ne soit pas|de trop)",
        "rien (?:de|en|avec)",
        "(?:marre|ras-le-bol|assez) (?:de|du|des)",
        "allergique (?:aux?|à la|à)",
        "non aux?",
    ),
    ending=(
        f"(?:très )?{_NOT}(?:me va|me vont|est|sont|me plaît|me plaisent) pas(?: (?:pour moi|mon truc))?"
        "(?= *$)",
        "très peu pour moi",
        "(?:c'est|ce sera) non",
        "(?:est|sont) (?:exclue?s?|à exclure|à éviter|à proscrire)",
    ),
    pseudo=(
        "pas (?:mal|seulement|uniquement|que|forcément|nécessairement|grave|sûre?|encore)",
        "pas (?:de|un) (?:problème|souci|préférence|doute|urgence)",
        "pas besoin",
        "pas (?:plus|moins) (?:de|que|court|long|cher|grand|petit)[es]*",
        "pourquoi pas",
        "sans (?:doute|problème|souci|hésiter|hésitation|faute|plus|prétention|urgence)",
        "(?:aucune?|nulle?) (?:problème|souci|préférence|doute|idée|importance|urgence)",
        "rien (?:que|d'autre que|contre)",
        "n'importe",
        "jamais (?:assez|trop)",
        "si(?: ce n'est)? pas",
        "ou pas",
    ),
    referring_back="(?:donc |mais |alors )?(?:pas|surtout pas) (?:ça|cela|ceux-là|celles-là"
    "|celui-là|celle-là|ceux-ci|celles-ci)",
    scope_ends=(
        *("pour", "avec", "dans", "en", "chez", "mais", "car", "donc"),
        *("parce que", "parce qu'", "puisque"),
    ),
    clause_ends=("mais", "cependant", "par contre", "en revanche", "toutefois"),
    no_nouns=(
        "une?|le|la|les|l'|ce|cet|cette|ces|mon|ma|mes|quelque|quelque chose",
        "je|j'|nous|tu|vous|il|elle|ils|elles|on|me|moi|qui|que|seulement|juste",
        "peut-être|plutôt|alors|aussi|sinon|idéalement|veux|voudrais|cherche|aime|aimerais",
        "besoin|suis|est|sont|était|sera|serait|dois|peux|faut|ai|as|a|merci|svp",
    ),
    coordination=("ou", "ni", "et"),
    polite=("s'il (?:vous|te) pla[iî]t", "svp", "stp", "merci"),
)
