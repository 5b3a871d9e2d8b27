"""Drives the server with fastmcp: prints one JSON object with what it saw. Arguments: the binary or a URL, question,
statement."""

import asyncio
import json
import os
import sys

from fastmcp import Client
from fastmcp.client.transports import StdioTransport


async def main() -> None:
    binary, question, statement = sys.argv[1:4]
    progress = []

    async def note(progress_so_far, total, message) -> None:
        progress.append(message)

    is_url = binary.startswith("http")
    transport = binary if is_url else StdioTransport(command=binary, args=[], env=dict(os.environ))
    async with Client(transport) as client:
        tools = await client.list_tools()
        answer = await client.call_tool("ask_database", {"question": question}, progress_handler=note)
        rows = await client.call_tool("run_sql", {"sql": statement})
        refused = await client.call_tool("run_sql", {"sql": "DELETE FROM customers"}, raise_on_error=False)
    seen = {
        "tools": [tool.name for tool in tools],
        "answer": answer.structured_content,
        "rows": rows.structured_content,
        "refused": refused.is_error,
        "progress": progress,
    }
    print(json.dumps({"default": seen}))


asyncio.run(main())
