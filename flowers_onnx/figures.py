"""Figures as people read them."""

from __future__ import annotations


def percent(share: float) -> str:
    """``97.1 %``; no confidence is shown as certain or impossible, which a model never knows."""
    text = f"{share * 100:.1f} %"
    return {"100.0 %": "> 99.9 %", "0.0 %": "< 0.1 %"}.get(text, text)
