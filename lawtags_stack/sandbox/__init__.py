"""Runs untrusted templates and patterns in a process with limits on time, memory and output.

``process`` is the caller's side, ``worker`` the process, and ``limits`` sets the limits from within the work.
"""
