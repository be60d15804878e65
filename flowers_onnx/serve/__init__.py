"""``flowers serve``: photos over HTTP, each kept with its answer before the answer is given.

A request goes: connection (``deadlines``) -> route (``app``) -> caller (``keys/``) -> body
(``bodies``) -> slot (``admission``) -> ``Classifier`` -> photo and row (``keep/``, ``trace/``)
-> answer. docs/serving.md tells what is promised.
"""
