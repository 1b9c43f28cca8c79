"""What a client can ask of each microservice, one module or package a service."""
