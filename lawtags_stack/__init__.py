"""The embedded stack: NeMo microservices on this machine, one folder per service."""

from lawtags_client.extras import require

# Whichever of its modules is imported first, from a command or from a program: the extra is named.
require(["local"], "the embedded stack")
