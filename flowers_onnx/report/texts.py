"""The page's own words, in English and Spanish."""

from __future__ import annotations

#: In these texts ``{name}`` is filled in by ``page``, or by ``report.js`` where it says so.
TEXTS: dict[str, dict[str, str]] = {
    "en": {
        "title": "Flowers in {name}",
        "skip": "Skip to the photos",
        "images": "Images",
        "species_found": "Species",
        "not_known": "Not known",
        "errors_found": "Errors",
        "model": "Model: {models}",
        "by_species": "Photos by species",
        "by_error": "Errors by kind",
        "more": "{count} more",
        "photos": "Photos",
        "search": "Species or file name",
        "least": "Confidence from",
        "most": "to",
        "status": "Show",
        "status_all": "everything",
        "status_ok": "named photos",
        "status_unknown": "not known ones",
        "status_error": "errors only",
        "order": "Order",
        "order_best": "most confident first",
        "order_worst": "least confident first",
        "reset": "Reset",
        "shown": "{shown} of {all} shown",  # filled in by report.js
        "none": "Nothing matches these filters.",
        "left_out": (
            "Of {all} images, {shown} are on this page, an even sample; only counted: {left_out}. "
            "A larger --max_photos shows more."
        ),
        "of": "{shown} of {all}",  # filled in by report.js too
        "gone": "cannot be read here",
        "changed": "is another photo by now",
        "lacking": (
            "Photos that could not be shown: {count}. When this page was made they were gone, "
            "changed, or out of reach; what is said of them was found when they were classified."
        ),
        "alt": "{label}, {confidence}: {name}",
        "none_of_them": "Not one of the model's species",
        "alt_none": "not one of the model's species (closest: {label}, {confidence}): {name}",
        "closest": "closest: {label}",
        "one_of": "one of: {labels}",
        "why": "why?",
        "why_all": "why? in all photos",
        "why_means": (
            "What is marked in a photo spoke for its name, the brighter the more. It shows what "
            "the model went by, not whether it is right."
        ),
        "why_place": "mostly the {place}",
    },
    "es": {
        "title": "Flores de {name}",
        "skip": "Ir a las fotos",
        "images": "Imágenes",
        "species_found": "Especies",
        "not_known": "Desconocidas",
        "errors_found": "Errores",
        "model": "Modelo: {models}",
        "by_species": "Fotos por especie",
        "by_error": "Errores por tipo",
        "more": "{count} más",
        "photos": "Fotos",
        "search": "Especie o nombre de archivo",
        "least": "Confianza desde",
        "most": "hasta",
        "status": "Mostrar",
        "status_all": "todo",
        "status_ok": "fotos con nombre",
        "status_unknown": "desconocidas",
        "status_error": "solo errores",
        "order": "Orden",
        "order_best": "primero las más seguras",
        "order_worst": "primero las menos seguras",
        "reset": "Restablecer",
        "shown": "Se muestran {shown} de {all}",
        "none": "Nada coincide con estos filtros.",
        "left_out": (
            "De {all} imágenes, {shown} están en esta página, una muestra uniforme; solo "
            "contadas: {left_out}. Con un --max_photos mayor se muestran más."
        ),
        "of": "{shown} de {all}",
        "gone": "no se puede leer aquí",
        "changed": "ahora es otra foto",
        "lacking": (
            "Fotos que no se pueden mostrar: {count}. Al crear esta página faltaban, habían "
            "cambiado o no eran accesibles; lo que se dice de ellas se halló al clasificarlas."
        ),
        "alt": "{label}, {confidence}: {name}",
        "none_of_them": "Ninguna de las especies del modelo",
        "alt_none": (
            "no es una de las especies del modelo (la más parecida: {label}, {confidence}): {name}"
        ),
        "closest": "la más parecida: {label}",
        "one_of": "una de: {labels}",
        "why": "¿por qué?",
        "why_all": "¿por qué? en todas",
        "why_means": (
            "Lo marcado en una foto habló a favor de su nombre, más cuanto más claro. Muestra en "
            "qué se fijó el modelo, no si acierta."
        ),
        "why_place": "sobre todo {place}",
    },
}

LANGUAGES = tuple(TEXTS)
