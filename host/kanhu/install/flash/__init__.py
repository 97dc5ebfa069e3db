"""`kanhu flash`: every board that is plugged in becomes a hub, all at once, each on its own.

session (all boards) -> work (one board, step by step) -> esptool (the program, one process a port), console
(the board's REPL), rules (may it be written, and with what) and registry.boards (who it is). troubles has
every sentence about ports and boards; table and report say what became of each."""
