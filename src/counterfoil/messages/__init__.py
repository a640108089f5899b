"""What other systems read from us and write to us: the messages, their versions, and how bytes become them."""
