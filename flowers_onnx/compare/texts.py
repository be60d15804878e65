"""The words of a page for a class-room, in English and Spanish."""

from __future__ import annotations

#: ``{name}`` is filled in.
TEXTS: dict[str, dict[str, str]] = {
    "en": {
        "title": "{a} and {b}",
        "title_same": "{a}, twice",
        "skip": "Skip to the comparison",
        "genus": "Genus",
        "family": "Family",
        "no_name": "no name",
        "photo": "Photo",
        "says": "The program says: {label}",
        "not_known": "The program says: none of the {count} species it knows. Closest: {label}",
        "chances": "How sure it is",
        "heat": "Bright: what speaks for {label}",
        "heat_alt": "The same photo; what speaks for {label} is marked",
        "failed": "This photo can't be read",
        "more": "Other photos of {label}",
        "none": "The index has no photo of {label}.",
        "no_index": "With photos of your own, this page has examples of both:",
        "kin": "Are they related?",
        "kin_species": "Both are the same species: {a}.",
        "kin_genus": "Closely. Both are of the genus {genus}, in the family {family}.",
        "kin_family": (
            "Yes. Both are of the family {family}, of different genera: {genus_a} and {genus_b}."
        ),
        "kin_none": "Hardly. They are of different families: {family_a} and {family_b}.",
        "kin_unknown": "The model doesn't say.",
        "alike": "How alike do they look to the program?",
        "photos_alike": "These two photos",
        "species_alike": "Typical photos of the two species",
        "copy": "The two files are the same.",
        "near": "Most likely it is the same picture, or two of one flower.",
        "pairs": "That is more than {count} of 100 pairs of species.",
        "next": "If it weren't {a}, the program would say",
        "place": "{b} is number {place} of {others}.",
        "no_likeness": "This model doesn't keep what it takes to tell.",
        "mixed": "Does the program mix them up?",
        "mixed_text": (
            "Before it was finished, it was shown photos that it had not learned from. This is "
            "what it called them, sure or not."
        ),
        "valid": "Photos of the kind it learned from",
        "elsewhere": "Photos from elsewhere",
        "taken_none": "Of {photos} photos of {a}, none was taken for {b}.",
        "taken_single": "Of {photos} photos of {a}, 1 was taken for {b}.",
        "taken": "Of {photos} photos of {a}, {count} were taken for {b}.",
        "taken_one_none": "One photo of {a}: not taken for {b}.",
        "taken_one": "One photo of {a}: taken for {b}.",
        "right": "Of {photos} photos of {a}, {count} named rightly.",
        "no_photos": "No photos of {a}.",
        "key_right": "named rightly",
        "key_taken": "taken for the other",
        "key_else": "taken for something else",
        "no_evaluation": "This model file has no evaluation.",
        "no_set": "None of these photos showed one of the two.",
        "turn": "Your turn",
        "turn_text": (
            "What would you look at to tell them apart? Colours, number and shape of the petals, "
            "the middle of the flower, leaves, how it grows."
        ),
        "about": "What the figures mean",
        "about_photos": (
            "Of two photos: the cosine between what the network makes of each, 100 % where it sees "
            "no difference."
        ),
        "about_species": (
            "Of two species: the same between typical photos of those that it learned from. It is "
            "about looks, not about kinship, and it is no probability."
        ),
        "about_place": (
            "What it would say if it weren't that species: which other names the network finds "
            "most in typical photos of it. So it need not be the same both ways."
        ),
        "model": "Model: {model}",
    },
    "es": {
        "title": "{a} · {b}",
        "title_same": "{a}, dos veces",
        "skip": "Ir a la comparación",
        "genus": "Género",
        "family": "Familia",
        "no_name": "sin nombre",
        "photo": "Foto",
        "says": "El programa dice: {label}",
        "not_known": (
            "El programa dice: ninguna de las {count} especies que conoce. La más parecida: {label}"
        ),
        "chances": "Qué tan seguro está",
        "heat": "En claro: lo que habla a favor de {label}",
        "heat_alt": "La misma foto; está marcado lo que habla a favor de {label}",
        "failed": "Esta foto no se puede leer",
        "more": "Otras fotos de {label}",
        "none": "El índice no tiene ninguna foto de {label}.",
        "no_index": "Con fotos propias, esta página tiene ejemplos de ambas:",
        "kin": "¿Son parientes?",
        "kin_species": "Las dos son la misma especie: {a}.",
        "kin_genus": "Muy cercanas. Las dos son del género {genus}, de la familia {family}.",
        "kin_family": (
            "Sí. Las dos son de la familia {family}, de géneros distintos ({genus_a}, {genus_b})."
        ),
        "kin_none": "Apenas. Son de familias distintas ({family_a}, {family_b}).",
        "kin_unknown": "El modelo no lo dice.",
        "alike": "¿Cuánto se parecen para el programa?",
        "photos_alike": "Estas dos fotos",
        "species_alike": "Fotos típicas de las dos especies",
        "copy": "Los dos archivos son iguales.",
        "near": "Lo más probable es que sea la misma imagen, o dos de una misma flor.",
        "pairs": "Es más que {count} de cada 100 pares de especies.",
        "next": "Si no fuera {a}, el programa diría",
        "place": "{b} es la número {place} de {others}.",
        "no_likeness": "Este modelo no guarda lo que haría falta para decirlo.",
        "mixed": "¿El programa las confunde?",
        "mixed_text": (
            "Antes de terminarlo se le mostraron fotos de las que no había aprendido. Así las "
            "llamó, seguro o no."
        ),
        "valid": "Fotos como aquellas de las que aprendió",
        "elsewhere": "Fotos de otras fuentes",
        "taken_none": "De {photos} fotos de {a}, ninguna fue tomada por {b}.",
        "taken_single": "De {photos} fotos de {a}, 1 fue tomada por {b}.",
        "taken": "De {photos} fotos de {a}, {count} fueron tomadas por {b}.",
        "taken_one_none": "Una foto de {a}: no fue tomada por {b}.",
        "taken_one": "Una foto de {a}: fue tomada por {b}.",
        "right": "De {photos} fotos de {a}, bien nombradas: {count}.",
        "no_photos": "Ninguna foto de {a}.",
        "key_right": "bien nombrada",
        "key_taken": "tomada por la otra",
        "key_else": "tomada por otra cosa",
        "no_evaluation": "Este archivo de modelo no tiene evaluación.",
        "no_set": "Ninguna de esas fotos mostraba una de las dos.",
        "turn": "Ahora tú",
        "turn_text": (
            "¿En qué te fijarías para distinguirlas? Colores, número y forma de los pétalos, el "
            "centro de la flor, las hojas, cómo crece."
        ),
        "about": "Qué significan las cifras",
        "about_photos": (
            "De dos fotos: el coseno entre lo que la red saca de cada una, 100 % donde no ve "
            "ninguna diferencia."
        ),
        "about_species": (
            "De dos especies: lo mismo entre fotos típicas de aquellas de las que aprendió. Trata "
            "del aspecto, no del parentesco, y no es una probabilidad."
        ),
        "about_place": (
            "Lo que diría si no fuera esa especie: qué otros nombres encuentra más la red en "
            "fotos típicas de ella. Por eso no tiene que ser igual en los dos sentidos."
        ),
        "model": "Modelo: {model}",
    },
}
