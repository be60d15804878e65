"""The program as a child process of another: requests on stdin, answers on stdout.

``docs/embedding.md`` describes the protocol; bytes become frames (``framing``), frames
become requests (``requests``), and ``run`` answers them in order.
"""
