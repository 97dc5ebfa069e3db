"""What a hub with every ordinary part has loaded once it runs."""

import sys

import hub_home
from fake_board import Board

FOLDER = ""


class Net:
    """Wi-Fi that never comes up."""

    def up(self):
        return False

    def rssi(self):
        return None


class Radio:
    """A silent radio."""

    def start(self):
        pass

    overflows = 0

    def report(self):
        return [100, 0]

    async def heard(self):
        import asyncio

        await asyncio.sleep_ms(1000)
        return ()


def test_mqtt_hub():
    _run(["mqtt"])


def test_serial_hub():
    _run(["serial"])


def _run(links):
    hub_home.FOLDER = FOLDER
    Board.radio = Radio()
    Board.network = lambda self, config, log: Net()
    config = {
        "wifi": ["home", "secret"],
        "broker": ["broker.example", 1883, None, None],
        "links": links,
        "buttons": [[1, 4, None]],
        "pirs": [[2, 13]],
        "cancel": 6,
    }
    home = hub_home.Home(links=None, config=config)
    home.run(20000)
    home.press()
    home.run(20000)
    assert "kanhu_hub.commissioning" in sys.modules
    home.run(600000)  # by then it is closed again
    for name in sorted(sys.modules):
        if name.startswith("kanhu_"):
            print("module", name)
