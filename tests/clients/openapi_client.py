"""Drives the query API by a client that openapi-python-client generates from the server's own description.

Arguments: the URL, an API key, a folder for the generated client, a question. Prints one JSON object with what it saw.
"""

import importlib
import json
import pathlib
import subprocess
import sys


def main() -> None:
    url, key, folder, question = sys.argv[1:5]
    package = pathlib.Path(folder) / "tudb_client"
    generate = [pathlib.Path(sys.executable).parent / "openapi-python-client", "generate", "--meta", "none"]
    subprocess.run([*generate, "--url", f"{url}/openapi.json", "--output-path", package], check=True, capture_output=True)
    sys.path.insert(0, folder)
    client_module = importlib.import_module("tudb_client.client")
    models = importlib.import_module("tudb_client.models")

    def call(operation: str, client, /, **arguments):
        module = importlib.import_module(f"tudb_client.api.default.{operation}")
        reply = module.sync_detailed(client=client, **arguments)
        body = reply.parsed.to_dict() if reply.parsed is not None else None
        return {"status": int(reply.status_code), "body": body}

    client = client_module.AuthenticatedClient(base_url=url, token=key, timeout=60)
    stranger = client_module.AuthenticatedClient(base_url=url, token="wrong", timeout=60)
    seen = {
        "health": call("health", client),
        "answer": call("query", client, body=models.QueryBody(question=question, user_id="7")),
        "rows": call("run_sql", client, body=models.RunSqlBody(sql="SELECT count(*) AS n FROM orders")),
        "blocked": call("query", client, body=models.QueryBody(question="DROP TABLE orders")),
        "tables": call("list_tables", client, search="order"),
        "table": call("describe_table", client, name="orders"),
        "plan": call("explain_query", client, body=models.ExplainQueryBody(sql="SELECT * FROM orders WHERE id = 5")),
        "stranger": call("query", stranger, body=models.QueryBody(question=question)),
    }
    print(json.dumps(seen))


main()
