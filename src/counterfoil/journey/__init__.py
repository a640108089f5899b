"""What happens to a payment, one step a module; read in alphabetical order it is the life of a payment."""
