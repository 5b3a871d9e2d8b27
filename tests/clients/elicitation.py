"""Asks with the Python MCP SDK and answers the question back by elicitation: prints one JSON object, a reply a mode.

Arguments: the binary, the question, the reading to choose. Modes: legacy handshake, automatic, pinned 2026-07-28.
"""

import asyncio
import json
import os
import sys

from mcp import StdioServerParameters, types
from mcp.client import Client


async def run(mode: str, binary: str, question: str, reading: str) -> dict:
    shown = []

    async def choose(_context, params) -> types.ElicitResult:
        shown.append(params.message)
        return types.ElicitResult(action="accept", content={"reading": reading})

    server = StdioServerParameters(command=binary, args=[], env=dict(os.environ))
    async with Client(server, mode=mode, read_timeout_seconds=60, elicitation_callback=choose) as client:
        answer = await client.call_tool("ask_database", {"question": question})
        return {"shown": shown, "answer": answer.structured_content}


async def main() -> None:
    binary, question, reading = sys.argv[1:4]
    print(json.dumps({mode: await run(mode, binary, question, reading) for mode in ("legacy", "auto", "2026-07-28")}))


asyncio.run(main())
