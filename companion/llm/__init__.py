"""Talking to a language model: the client for any OpenAI-compatible endpoint, and the embedded model."""

from companion.llm.call import Finish, ModelError
from companion.llm.client import ChatMessage, close, health, status, stream

__all__ = ["ChatMessage", "Finish", "ModelError", "close", "health", "status", "stream"]
