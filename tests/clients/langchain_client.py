"""Drives the server with langchain-mcp-adapters: prints one JSON object. Arguments: the binary, question, statement."""

import asyncio
import json
import os
import sys

from langchain_mcp_adapters.client import MultiServerMCPClient


def text_of(result) -> dict:
    """A tool's result as an agent sees it: text, or a list of text blocks."""
    return json.loads(result if isinstance(result, str) else result[0]["text"])


async def main() -> None:
    binary, question, statement = sys.argv[1:4]
    server = {"transport": "stdio", "command": binary, "args": [], "env": dict(os.environ)}
    tools = {tool.name: tool for tool in await MultiServerMCPClient({"tudb": server}).get_tools()}
    refused = text_of(await tools["run_sql"].ainvoke({"sql": "DELETE FROM customers"}))
    seen = {
        "tools": list(tools),
        "answer": text_of(await tools["ask_database"].ainvoke({"question": question})),
        "rows": text_of(await tools["run_sql"].ainvoke({"sql": statement})),
        # The adapter hands a failed call to the model as text.
        "refused": refused["error"]["code"] == "write_refused",
    }
    print(json.dumps({"default": seen}))


asyncio.run(main())
