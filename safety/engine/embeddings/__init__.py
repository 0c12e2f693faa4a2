"""Embeddings of messages: the only place that imports torch and sentence-transformers, in a process of its own."""
