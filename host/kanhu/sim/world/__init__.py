"""The whole system on accelerated time, reproducible from one seed.

The real daemon and the firmware as shipped, each hub a MicroPython process in lock-step; broker, network and
city platform are models that lose, delay and repeat what they may."""
