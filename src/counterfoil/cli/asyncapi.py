"""`counterfoil asyncapi`: what is said and heard on topics, for tools that read AsyncAPI."""


def asyncapi() -> None:
    """Print the AsyncAPI 3 document of every topic and message, as JSON.

    Documentation, mocks and typed clients are made from it: `npx @asyncapi/cli generate …`.
    """
    from importlib.metadata import version

    from counterfoil.cli import terminal
    from counterfoil.messages.asyncapi import document

    terminal.print_json(document(version("counterfoil")))
