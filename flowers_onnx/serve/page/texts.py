"""The page's own words, in English and Spanish."""

from __future__ import annotations

from flowers_onnx.web.heat import PLACES

#: In the HTML; ``{name}`` is filled in by ``page``.
TEXTS: dict[str, dict[str, str]] = {
    "en": {
        "title": "Which flower is this?",
        "lead": "Show it a photo: it tells you the name of the flower, and how sure it is.",
        "skip": "Skip to choosing photos",
        "languages": "Language",
        "add": "Add photos",
        "hint_mouse": "Drop photos here, or paste them",
        "hint_touch": "One flower, near and sharp",
        "choose": "Choose photos",
        "take": "Take a photo",
        "formats": "JPEG, PNG, WebP, AVIF, GIF, BMP or TIFF, up to {size} each.",
        "not_kept": (
            "Your photos go to this server and nowhere else. "
            "It keeps neither the photo nor the answer."
        ),
        "traced": (
            "Your photos go to this server and nowhere else. "
            "Whoever runs it keeps the answers, and not the photos."
        ),
        "kept": (
            "Your photos go to this server and nowhere else. Whoever runs it keeps each photo with "
            "its answer, without what the file says of where, when and with what it was taken."
        ),
        "kept_exif": (
            "Your photos go to this server and nowhere else. Whoever runs it keeps each photo with "
            "its answer, and with all that the file says of where, when and with what it was taken."
        ),
        "noscript": "This page needs JavaScript. It runs only its own, and loads nothing.",
        "photos": "Your photos",
        "clear": "Clear all",
        "no_preview": "no preview",
        "why": "Why?",
        "others": "Other candidates",
        "again": "Try again",
        "about": (
            "It knows {count} kinds of flowers and always answers with the likeliest of them: "
            "a flower that is not among them, or no flower at all, gets a wrong name."
        ),
        "about_rejects": (
            "It knows {count} kinds of flowers, and says so where a photo looks like none of them: "
            "often, not always."
        ),
        "kinds": "The {count} kinds",
        "api": "API for programs",
        "key_name": "Access key",
        "key_help": "This server answers those who have a key; whoever runs it gives them out.",
        "token_name": "Identity token",
        "token_help": (
            "This server answers Google accounts that may use it. "
            "Paste what gcloud auth print-identity-token prints."
        ),
        "key_stays": "It stays in this tab, and is forgotten when you close it.",
        "key_use": "Use it",
        "key_set": "Your key is in use.",
        "token_set": "Your token is in use.",
        "key_change": "Change",
    },
    "es": {
        "title": "¿Qué flor es esta?",
        "lead": "Enséñale una foto: te dice el nombre de la flor y cuán segura es la respuesta.",
        "skip": "Ir a elegir fotos",
        "languages": "Idioma",
        "add": "Añadir fotos",
        "hint_mouse": "Suelta aquí tus fotos, o pégalas",
        "hint_touch": "Una sola flor, de cerca y nítida",
        "choose": "Elegir fotos",
        "take": "Hacer una foto",
        "formats": "JPEG, PNG, WebP, AVIF, GIF, BMP o TIFF, hasta {size} cada una.",
        "not_kept": (
            "Tus fotos van a este servidor y a ningún otro sitio. "
            "No guarda ni la foto ni la respuesta."
        ),
        "traced": (
            "Tus fotos van a este servidor y a ningún otro sitio. "
            "Quien lo administra guarda las respuestas, y no las fotos."
        ),
        "kept": (
            "Tus fotos van a este servidor y a ningún otro sitio. Quien lo administra guarda cada "
            "foto con su respuesta, sin lo que el archivo dice de dónde, cuándo y con qué se hizo."
        ),
        "kept_exif": (
            "Tus fotos van a este servidor y a ningún otro sitio. Quien lo administra guarda cada "
            "foto con su respuesta y con todo lo que el archivo dice de dónde, cuándo y con qué se "
            "hizo."
        ),
        "noscript": "Esta página necesita JavaScript. Solo ejecuta el suyo y no carga nada más.",
        "photos": "Tus fotos",
        "clear": "Quitar todas",
        "no_preview": "sin vista previa",
        "why": "¿Por qué?",
        "others": "Otras posibilidades",
        "again": "Reintentar",
        "about": (
            "Conoce {count} clases de flores y siempre responde con la más probable de ellas: una "
            "flor que no está entre ellas, o algo que no es una flor, recibe un nombre equivocado."
        ),
        "about_rejects": (
            "Conoce {count} clases de flores, y lo dice cuando una foto no se parece a ninguna de "
            "ellas: a menudo, no siempre."
        ),
        "kinds": "Las {count} clases",
        "api": "API para programas",
        "key_name": "Clave de acceso",
        "key_help": "Este servidor responde a quien tiene una clave; las da quien lo administra.",
        "token_name": "Token de identidad",
        "token_help": (
            "Este servidor responde a las cuentas de Google autorizadas. "
            "Pega lo que muestra gcloud auth print-identity-token."
        ),
        "key_stays": "Se queda en esta pestaña y se olvida al cerrarla.",
        "key_use": "Usar",
        "key_set": "Tu clave está en uso.",
        "token_set": "Tu token está en uso.",
        "key_change": "Cambiar",
    },
}

LANGUAGES = {"en": "English", "es": "Español"}

#: In the script, which fills in ``{name}``. The codes and statuses are those of the answers.
SCRIPT: dict[str, dict[str, str]] = {
    "en": {
        "waiting": "Waiting…",
        "looking": "Looking…",
        "busy": "Busy: next try in {seconds} s",
        "needs_key": "Waiting for a key",
        "perhaps": "Perhaps {label}",
        "could_be": "Not sure: it could also be {labels}.",
        "none_fits": "Not sure: none of the names that it knows fits well.",
        "closer": "A closer photo of one flower may help.",
        "one_done": "{file}: {label}, {share}",
        "one_of": "It is one of: {labels}.",
        "not_one": "Not one of the {count} species",
        "closest": "Closest: {label}, {share}",
        "nearest": "What comes closest",
        "not_one_done": "{file}: not one of the {count} species (closest: {label}, {share})",
        "why_not": "What speaks for {label}",
        "spoke": (
            "What is marked spoke for {label}, the brighter the more. "
            "It shows what the model went by, not whether it is right."
        ),
        "spoke_where": "What spoke for {label}: mostly the {where} of the photo.",
        "nothing_spoke": "Nothing in the photo spoke for {label}.",
        "places": "|".join(PLACES["en"]),
        "progress": "{done} of {all}",
        "all_done": "{all} in all",
        "some_failed": "{all} in all, {failed} without an answer",
        "no_answer": "No answer",
        "is_empty": "The file is empty.",
        "not_an_image": "This is no photo, or of a kind that is not known here.",
        "unsupported": "This format is not read here. Save the photo as JPEG and try again.",
        "truncated": "The file ends before the photo does. Was it copied completely?",
        "corrupt": "The file is damaged.",
        "too_large": "The photo has too many pixels. Make it smaller and try again.",
        "408": "The upload broke off, or was too slow.",
        "413": "The file is larger than {size}, the most that this server takes.",
        "503": "The server is too busy. Try again later.",
        "failed": "The server failed on this one. Its number is {id}.",
        "refused": "The server refused it ({status}). {detail}",
        "unreadable": "Your browser cannot read this file.",
        "offline": "The server cannot be reached. Check your connection.",
        "no_file": "There was no photo in what you dropped.",
        "key_needed": "Your photos wait for it.",
        "key_wrong": "The server does not accept it.",
        "key_forbidden": "The server knows it, but it may not name photos.",
        "key_odd": "It has no spaces, and only plain letters, digits and signs.",
    },
    "es": {
        "waiting": "En espera…",
        "looking": "Mirando…",
        "busy": "Ocupado: nuevo intento en {seconds} s",
        "needs_key": "Espera una clave",
        "perhaps": "Quizá {label}",
        "could_be": "No es seguro: también podría ser {labels}.",
        "none_fits": "No es seguro: ninguno de los nombres que conoce encaja bien.",
        "closer": "Puede ayudar una foto más de cerca de una sola flor.",
        "one_done": "{file}: {label}, {share}",
        "one_of": "Es una de: {labels}.",
        "not_one": "No es una de las {count} especies",
        "closest": "La más parecida: {label}, {share}",
        "nearest": "Las más parecidas",
        "not_one_done": (
            "{file}: no es una de las {count} especies (la más parecida: {label}, {share})"
        ),
        "why_not": "Qué habla a favor de {label}",
        "spoke": (
            "Lo marcado habló a favor de {label}, más cuanto más claro. "
            "Muestra en qué se fijó el modelo, no si acierta."
        ),
        "spoke_where": "Lo que habló a favor de {label}: sobre todo {where} de la foto.",
        "nothing_spoke": "Nada en la foto habló a favor de {label}.",
        "places": "|".join(PLACES["es"]),
        "progress": "{done} de {all}",
        "all_done": "{all} en total",
        "some_failed": "{all} en total, {failed} sin respuesta",
        "no_answer": "Sin respuesta",
        "is_empty": "El archivo está vacío.",
        "not_an_image": "No es una foto, o es de un tipo que aquí no se conoce.",
        "unsupported": "Aquí no se lee este formato. Guarda la foto como JPEG y reinténtalo.",
        "truncated": "El archivo acaba antes que la foto. ¿Se copió entero?",
        "corrupt": "El archivo está dañado.",
        "too_large": "La foto tiene demasiados píxeles. Redúcela y reinténtalo.",
        "408": "El envío se cortó o fue demasiado lento.",
        "413": "El archivo pasa de {size}, lo máximo que acepta este servidor.",
        "503": "El servidor está demasiado ocupado. Reinténtalo más tarde.",
        "failed": "El servidor ha fallado con esta. Su número es {id}.",
        "refused": "El servidor la ha rechazado ({status}). {detail}",
        "unreadable": "Tu navegador no puede leer este archivo.",
        "offline": "No se puede llegar al servidor. Comprueba tu conexión.",
        "no_file": "No había ninguna foto en lo que has soltado.",
        "key_needed": "Tus fotos la esperan.",
        "key_wrong": "El servidor no la acepta.",
        "key_forbidden": "El servidor la conoce, pero no sirve para nombrar fotos.",
        "key_odd": "No tiene espacios, solo letras sin acento, cifras y signos.",
    },
}
