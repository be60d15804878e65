"""Photos and what the network makes of them, in one file that is searched by likeness.

``file`` has its form, ``index`` reads it, ``adding`` makes it and lets it grow.
"""
