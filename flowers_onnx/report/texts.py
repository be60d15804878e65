"""The page's own words, in English and Spanish, and how these languages write numbers."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

#: In these texts ``{name}`` is filled in by ``page``, or by ``report.js`` where it says so.
TEXTS: dict[str, dict[str, str]] = {
    "en": {
        "title": "Flowers in {name}",
        "skip": "Skip to the photos",
        "images": "Images",
        "species_found": "Species",
        "errors_found": "Errors",
        "model": "Model: {models}",
        "by_species": "Photos by species",
        "by_error": "Errors by kind",
        "no_errors": "No errors.",
        "more": "{count} more",
        "photos": "Photos",
        "search": "Species or file name",
        "least": "Confidence from",
        "most": "to",
        "status": "Show",
        "status_all": "everything",
        "status_ok": "named photos",
        "status_error": "errors only",
        "order": "Order",
        "order_best": "most confident first",
        "order_worst": "least confident first",
        "reset": "Reset",
        "shown": "{shown} of {all} shown",  # filled in by report.js
        "none": "Nothing matches these filters.",
        "empty": "There are no results in {name}.",
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
    },
    "es": {
        "title": "Flores de {name}",
        "skip": "Ir a las fotos",
        "images": "Imágenes",
        "species_found": "Especies",
        "errors_found": "Errores",
        "model": "Modelo: {models}",
        "by_species": "Fotos por especie",
        "by_error": "Errores por tipo",
        "no_errors": "Sin errores.",
        "more": "{count} más",
        "photos": "Fotos",
        "search": "Especie o nombre de archivo",
        "least": "Confianza desde",
        "most": "hasta",
        "status": "Mostrar",
        "status_all": "todo",
        "status_ok": "fotos con nombre",
        "status_error": "solo errores",
        "order": "Orden",
        "order_best": "primero las más seguras",
        "order_worst": "primero las menos seguras",
        "reset": "Restablecer",
        "shown": "Se muestran {shown} de {all}",
        "none": "Nada coincide con estos filtros.",
        "empty": "No hay resultados en {name}.",
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
    },
}

LANGUAGES = tuple(TEXTS)


@dataclass(frozen=True, slots=True)
class Words:
    """The texts of one language, ready for HTML."""

    lang: str

    def all(self) -> dict[str, str]:
        """Every text as it is, with its ``{name}`` fields."""
        return {key: safe(text) for key, text in TEXTS[self.lang].items()}

    def text(self, key: str, **values: str | int) -> str:
        """One text with its fields filled in."""
        filled = {
            name: self.number(value) if isinstance(value, int) else value
            for name, value in values.items()
        }
        return safe(TEXTS[self.lang][key].format(**filled))

    def number(self, value: int) -> str:
        """``12,345``; Spanish writes 1234 without a separator and 12.345 with one."""
        if self.lang == "es":
            return f"{value:,}".replace(",", ".") if value >= 10_000 else str(value)
        return f"{value:,}"

    def percent(self, fraction: float) -> str:
        """``97.1 %`` with a space that doesn't break."""
        text = f"{fraction * 100:.1f}\N{NO-BREAK SPACE}%"
        return text.replace(".", ",") if self.lang == "es" else text


def safe(text: str) -> str:
    """Any text as HTML, in an element or in a quoted attribute; it can't end or start either."""
    return escape(text.encode("utf-8", "replace").decode())
