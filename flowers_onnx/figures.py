"""Figures as people read them."""

from __future__ import annotations


def percent(share: float, digits: int = 1) -> str:
    """``97.1 %``; no confidence is shown as certain or impossible, which a model never knows."""
    text, least = f"{share * 100:.{digits}f} %", 10**-digits
    all_, none = f"{100:.{digits}f} %", f"{0:.{digits}f} %"
    ends = {all_: f"> {100 - least:.{digits}f} %", none: f"< {least:.{digits}f} %"}
    return ends.get(text, text)


def counted(ok: int, not_known: int) -> str:
    """``12 named, 3 not known``, of images that have an answer."""
    named = f"{ok - not_known:,} named"
    return f"{named}, {not_known:,} not known" if not_known else named
