"""Drives the server with the Python MCP SDK: prints one JSON object with what it saw.

Arguments: the binary or the URL of a server, then question and statement. Modes: legacy handshake, automatic, pinned 2026-07-28.
"""

import asyncio
import json
import os
import sys

from mcp import StdioServerParameters
from mcp.client import Client


async def run(mode: str, binary: str, question: str, statement: str) -> dict:
    is_url = binary.startswith("http")
    server = binary if is_url else StdioServerParameters(command=binary, args=[], env=dict(os.environ))
    async with Client(server, mode=mode, read_timeout_seconds=60) as client:
        tools = (await client.list_tools()).tools
        answer = await client.call_tool("ask_database", {"question": question})
        rows = await client.call_tool("run_sql", {"sql": statement})
        refused = await client.call_tool("run_sql", {"sql": "DELETE FROM customers"})
        return {
            "protocol": client.protocol_version,
            "tools": [tool.name for tool in tools],
            "answer": answer.structured_content,
            "rows": rows.structured_content,
            "refused": refused.is_error,
        }


async def main() -> None:
    binary, question, statement = sys.argv[1:4]
    seen = {mode: await run(mode, binary, question, statement) for mode in ("legacy", "auto", "2026-07-28")}
    print(json.dumps(seen))


asyncio.run(main())
