"""The embedded stack: NeMo microservices on this machine, one folder per service."""

from lawtags_client.extras import require

# A check here covers every import of the package, so a missing extra is always reported by name.
require(["local"], "the embedded stack")
