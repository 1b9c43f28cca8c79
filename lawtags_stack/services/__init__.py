"""One package per microservice."""
