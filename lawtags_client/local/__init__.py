"""The embedded stack: NeMo microservices on this machine, one folder per service."""
