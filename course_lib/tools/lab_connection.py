"""The connection between browser and kernel in `course lab`: Jupyter's own, without waiting for full packets.

A kernel answers a slider with several small messages. By default the system holds the second one back until the browser has
acknowledged the first, which it does up to 40 ms later: Nagle's algorithm meets the delayed acknowledgement (RFC 1122, sections
4.2.3.2 and 4.2.3.4; see tornado's `WebSocketHandler.set_nodelay`). Without that wait a plain picture follows its slider in
about 30 ms instead of 65.
"""

from typing import Any

from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection


class PromptConnection(ZMQChannelsWebsocketConnection):
    """Jupyter's connection between one page and one kernel, with every message sent immediately."""

    def connect(self) -> Any:
        self.websocket_handler.set_nodelay(True)
        return super().connect()
