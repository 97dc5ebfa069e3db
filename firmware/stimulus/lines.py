"""Which pin of the stimulus board is joined to what of the hub: the one wiring table of a bench.

The GPIO numbers suit two ESP32 dev boards with a WROOM module: no strapping pin (0, 2, 5, 12, 15) of the
stimulus, no pin of flash, console or USB, and none that says something of its own while a board starts
(1, 3, 5, 14, 15). The hub's pins exist on an ESP32-S3, too. What `kind` says stands in KINDS."""

KINDS = {
    "open drain": "0: the contact is closed to ground; released: it is open, and the hub's pull-up decides",
    "push-pull": "0 or 1 through the resistor; released: the wire is cut, and the hub's own pull decides",
    "input": "the stimulus reads what the hub drives; a pull-down of the stimulus where the hub does not",
    "load switch": "0: the hub is without supply; released or without the stimulus's own supply: it has it",
}

# name: (GPIO of the stimulus, kind, level at rest (None: released), GPIO of the hub (None: no pin of it),
#        its key in the hub's settings, device in its events, resistor in series, note for the drawing)
LINES = {
    "button": (25, "open drain", None, 4, "buttons", 1, "470", "call button; active low"),
    "button2": (26, "open drain", None, 17, "buttons", 3, "470", "second call button; active low"),
    "cancel": (27, "open drain", None, 14, "cancel", 0, "470", "cancel key; active low"),
    "pir": (22, "push-pull", 0, 13, "pirs", 2, "4.7k", "PIR sensor's output; high while there is motion"),
    "mains": (23, "push-pull", 1, 21, "mains", 0, "4.7k", "mains sense; high while there is mains"),
    "lamp": (32, "input", None, 2, "lamp", 0, "1k", "the hub's lamp; high is lit"),
    "buzzer": (33, "input", None, 18, "buzzer", 0, "1k", "the hub's buzzer; high sounds"),
    "power": (
        21,
        "load switch",
        None,
        None,
        None,
        0,
        "470",
        "enable of the load switch in the hub's 5 V; 10k from enable to the stimulus's 3V3, so that the hub"
        " is on unless it is pulled low",
    ),
}
