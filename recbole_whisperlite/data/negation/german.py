"""What German-speaking shoppers negate with."""

from recbole_whisperlite.data.negation.phrases import Phrases

_NO = "kein(?:e[nrms]?|erlei)?"
_LIKE = "(?:mag|mögen|will|wollen|möchten?|brauchen?|trage|suche|vertrage)"

GERMAN = Phrases(
    beginning=(
        "alles (?:außer|ausser|nur nicht)",
        f"(?:bitte |bloß |bloss |lieber )*{_NO}(?: (?:zu|allzu|so))?",
        "auf keinen fall(?: (?:zu|mit|in))?",
        "nichts?(?: (?:zu|allzu|so|sehr|gerade|mit|aus|in))?",
        "nie(?:mals)?(?: wieder)?",
        "weder",
        "ohne(?: (?:jede[nrs]?|irgendwelche[nrs]?))?",
        "(?:außer|ausser|ausgenommen|abgesehen von)",
        "(?:an)?statt",
        "anstelle von",
        "(?:hasse|verabscheue|meide|vermeide|verzichte auf)",
        "(?:bitte )?(?:weglassen|vermeiden)",
        "allergisch (?:gegen|auf)",
        "genug von",
        "frei von",
    ),
    ending=(
        f"{_LIKE} ich (?:gar |überhaupt |wirklich )?(?:nicht|nie)",
        "(?:geht|gehen|kommt|kommen) (?:gar |überhaupt )?nicht(?: in ?frage)?",
        "(?:steht|stehen|passt|passen|gefällt|gefallen) mir (?:gar |überhaupt )?nicht",
        "(?:ist|sind) (?:nichts für mich|tabu|raus)",
        "(?:bitte|lieber|gar|eher) nicht(?= *$)",
    ),
    pseudo=(
        "nicht (?:nur|bloß|bloss|unbedingt|zwingend|notwendigerweise|schlecht|sicher)",
        "nichts (?:als|anderes als|dagegen|einzuwenden)",
        "(?:habe |mir )?(?:keine?n? (?:ahnung|problem|zweifel|frage|eile|rolle|präferenz|sorge))",
        "(?:nicht|keine?n?) (?:mehr|weniger|länger|kürzer|größer|kleiner|später) als",
        "warum nicht",
        "wieso nicht",
        "(?:ob|wenn|falls) nicht",
        "ohne (?:frage|zweifel|weiteres|probleme?|eile)",
        "nicht (?:genug|erwarten)",
        "noch nie",
        "nie genug",
    ),
    referring_back="(?:also |aber |nur )?(?:die|das|den|diese[ns]?|solche|so etwas|so was)"
    " (?:bitte |lieber |also )?nicht",
    scope_ends=(
        *("für", "fürs", "mit", "zum", "zur", "beim", "bei", "im", "in", "aus"),
        *("weil", "da", "denn", "sondern", "aber", "dafür"),
    ),
    clause_ends=("aber", "sondern", "jedoch", "doch"),
    no_nouns=(
        "ein(?:e[nrms]?)?|der|die|das|den|dem|diese[nrms]?|meine?[nrms]?|etwas|irgendwas",
        "ich|wir|du|ihr|er|sie|es|mir|mich|nur|vielleicht|lieber|gerne?|am liebsten|eher",
        "dann|auch|sonst|brauchen?|suchen?|will|möchten?|mag|mögen|trage|liebe|hätte|bin",
        "ist|sind|war|wäre|soll(?:te|en)?|kann|darf|muss|haben?|bitte|danke",
    ),
    coordination=("oder", "und", "noch", "sowie"),
    polite=("bitte", "danke", "vielen dank"),
)
