"""What customers read, and how it reaches them."""
