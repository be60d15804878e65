"""The front door: words on the command line become a job, and its end an exit code.

``main`` is the whole; ``arguments`` checks the words, ``fire_adapter`` routes them to one of
``commands``, which declares its flags with what ``command`` and ``flags`` have; ``help`` tells of
them. ``probe`` is the same, measured from inside.
"""
