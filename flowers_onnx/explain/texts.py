"""The words of pictures and pages, in English and Spanish."""

from __future__ import annotations

#: ``{name}`` is filled in.
TEXTS: dict[str, dict[str, str]] = {
    "en": {
        "title": "Why these names",
        "skip": "Skip to the photos",
        "speaks": "What speaks for {label}",
        "little": "nothing",
        "much": "most",
        "not_known": "not one of the {count} species",
        "closest": "closest:",
        "overlay": "Show what speaks for the name",
        "heat_alt": "what speaks for {label} is marked",
        "reading": (
            "A mark says that the network found evidence there, not that the flower ends there. It "
            "looks at the photo in some fifty parts, each with its surroundings. Shown is what it "
            "sees: the square in the middle."
        ),
        "model": "Model: {model}",
        "failed": "Not explained",
    },
    "es": {
        "title": "Por qué estos nombres",
        "skip": "Ir a las fotos",
        "speaks": "Lo que habla a favor de {label}",
        "little": "nada",
        "much": "lo que más",
        "not_known": "no es ninguna de las {count} especies",
        "closest": "la más parecida:",
        "overlay": "Mostrar lo que habla a favor del nombre",
        "heat_alt": "está marcado lo que habla a favor de {label}",
        "reading": (
            "Una marca dice que la red encontró indicios allí, no que la flor termine allí. Mira "
            "la foto en unas cincuenta partes, cada una con lo que la rodea. Se muestra lo que ve: "
            "el cuadrado del centro."
        ),
        "model": "Modelo: {model}",
        "failed": "Sin explicar",
    },
}
