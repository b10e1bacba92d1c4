"""The only caller of ack, nak, term and in_progress.

Invariant: a message is acked after the commit that stored its events, and terminated after its dead
letter is durable and the ledger says so; nothing else ends a message.
"""

from collections.abc import Iterable

from collectors.batch import Batch
from shared.logs import Logger
from streams.delivery import Delivery


async def settle(batch: Batch, log: Logger) -> None:
    """The batch is committed, its dead letters are durable: end its messages."""
    unsent = 0
    for delivery, is_dead in batch.deliveries.items():
        unsent += not await (delivery.term() if is_dead else delivery.ack())
    if unsent:
        log.warning("acks_not_sent", messages=unsent)  # they come again, and change nothing


async def release(deliveries: Iterable[Delivery], *, delay_s: float) -> None:
    """They are not stored: let them be delivered again, to whoever asks."""
    for delivery in deliveries:
        if not delivery.settled:
            await delivery.nak(delay_s)


async def keep(deliveries: Iterable[Delivery]) -> None:
    """They are still being worked on: keep them from being delivered again."""
    for delivery in deliveries:
        if not delivery.settled:
            await delivery.in_progress()
