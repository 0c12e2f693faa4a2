"""What every channel promises: one call that hands a notice over, or says why not."""

from typing import TYPE_CHECKING, Protocol

from safety.recipients import Reach

if TYPE_CHECKING:
    from safety.alert_texts import Notice


class ChannelError(Exception):
    """`code` names the cause in rows and logs; never a text of the provider, which may hold an address."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code[:40]


class Temporary(ChannelError):
    """Worth another try: the provider is away, slow or busy."""


class Permanent(ChannelError):
    """This recipient will never be reached this way."""


class Channel(Protocol):
    def send(self, notice: "Notice", reach: Reach, key: str) -> str:
        """Hand the notice over within ALERT_TIMEOUT per step; returns the provider's id of it, perhaps "".

        `key` is the same for every try of one delivery: providers and readers recognise a second copy by it.
        """
        ...
