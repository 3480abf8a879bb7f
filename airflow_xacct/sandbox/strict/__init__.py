"""What AWS refuses and the emulator does not: the rules in front of it, one module for each kind."""
