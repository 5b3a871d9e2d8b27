"""Drives the server with strands-agents' MCP client: prints one JSON object. Arguments: the binary, question, statement."""

import json
import os
import sys

from mcp import StdioServerParameters
from mcp.client.stdio import stdio_client
from strands.tools.mcp import MCPClient

binary, question, statement = sys.argv[1:4]
server = StdioServerParameters(command=binary, args=[], env=dict(os.environ))
progress = []


async def note(progress_so_far, total, message) -> None:
    progress.append(message)


with MCPClient(lambda: stdio_client(server)) as client:

    def call(name: str, arguments: dict) -> dict:
        return client.call_tool_sync(tool_use_id="1", name=name, arguments=arguments, progress_callback=note)

    tools = [tool.tool_name for tool in client.list_tools_sync()]
    answer = call("ask_database", {"question": question})
    rows = call("run_sql", {"sql": statement})
    refused = call("run_sql", {"sql": "DELETE FROM customers"})

seen = {
    "tools": tools,
    "answer": answer["structuredContent"],
    "rows": rows["structuredContent"],
    "refused": refused["status"] == "error",
    "progress": progress,
}
print(json.dumps({"default": seen}))
