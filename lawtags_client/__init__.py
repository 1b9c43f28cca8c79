"""lawtags: curate legal questions, fine-tune, evaluate and serve a tagger on NVIDIA NeMo microservices."""

__version__ = "0.1.0"
