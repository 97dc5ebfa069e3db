"""Which way out a hub has; needed at the start only, then dropped."""


def begin(config, log):
    """A driver with up(), rssi(), resolve() and connect(), connecting; None when config has none."""
    if config.network == "ppp":
        from kanhu_hub.board.ppp import Ppp

        return Ppp(config, log)
    if config.wifi:
        from kanhu_hub.board.wifi import Wifi

        return Wifi(*config.wifi)
    return None
