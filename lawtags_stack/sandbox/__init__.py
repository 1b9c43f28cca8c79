"""Running what strangers wrote, templates and patterns, in a process with limits on time, memory and output.

``process`` is the side of the caller, ``worker`` the process, ``limits`` what the work itself uses to say
what it is doing and how long that may take.
"""
