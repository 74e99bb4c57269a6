"""An asyncio service that may be PID 1 of its container: it leaves PID 1 to the init before it starts an event loop."""

import asyncio
import signal

import pyinit


async def serve() -> None:
    """Work until the container is stopped."""
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    print("working")
    await stopped.wait()
    print("finished")


if __name__ == "__main__":
    pyinit.relaunch_if_pid1()
    asyncio.run(serve())
