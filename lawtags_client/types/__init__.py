"""Wire models of the v1 API, one module a microservice; import them from their module."""
