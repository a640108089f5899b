"""What takes messages in where a test decides what becomes of them."""

from counterfoil.bus.message import Outgoing, Told, Undelivered


class Post:
    """Takes messages in; what became of them is told when a test says so."""

    def __init__(self) -> None:
        self.taken: list[tuple[Outgoing, Told]] = []

    def hand_over(self, message: Outgoing, told: Told) -> None:
        """Take a message."""
        self.taken.append((message, told))

    def answer(self, found: Undelivered | None = None) -> list[Outgoing]:
        """Tell what became of all that was taken; return what it was."""
        taken, self.taken = self.taken, []
        for _, told in taken:
            told(found)
        return [message for message, _ in taken]

    def tell(self, found: Undelivered | None = None) -> list[tuple[str, int]]:
        """Tell what became of all facts that were taken; return them by payment and number."""
        return [
            ((message.key or b"").decode(), int(dict(message.headers)["ce_sequence"])) for message in self.answer(found)
        ]
