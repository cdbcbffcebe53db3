"""Whether what measures needs a network: read off the clients that it imports, and the addresses that it names."""

from __future__ import annotations

import re
from collections.abc import Iterable

from sessions.network import Network
from supervisor.recognition.finding import Fact, Finding
from supervisor.recognition.tree import MatchedLine, Tree

_CODE = re.compile(r"\.(py|js|mjs|cjs|ts|tsx|sh|rs|go|jl|rb|R)$")
_MODELS = (
    r"^\s*(?:from|import)\s+(?P<client>openai|anthropic|litellm|cohere|mistralai|groq|together|replicate|boto3"
    r"|google\.genai|google\.generativeai|langchain_openai|langchain_anthropic|dspy)\b"
    r"|(?:require\(|from\s+)[\"'](?P<module>openai|@anthropic-ai/sdk|ai|@google/genai)[\"']"
)
_HTTP = (
    r"^\s*(?:from|import)\s+(?P<client>requests|httpx|aiohttp|urllib3|urllib\.request|http\.client|websockets)\b"
    r"|(?:require\(|from\s+)[\"'](?P<module>axios|node-fetch|undici|got)[\"']|(?<![\w.])(?P<call>fetch)\(\s*[\"'`]http"
    r"|(?:^|[\s;|&(])(?P<program>curl|wget)\s"
)
_LOCAL = (
    r"https?://(?:localhost|127\.0\.0\.1|\[::1\]|0\.0\.0\.0)(?::\d+)?|[\"'](?:localhost|127\.0\.0\.1)[\"']"
)
_REMOTE = r"https?://(?!localhost|127\.|\[::1\]|0\.0\.0\.0|[\w.]*example\.|www\.w3\.org|github\.com)[\w-]+(?:\.[\w-]+)+"
_SERVES = re.compile(
    r"HTTPServer\(|socketserver|uvicorn\.run|app\.run\(|\.listen\(|createServer|http\.server|aiohttp\.web|Popen\([^)]*serve"
    r"|create_server\(|start_server\("
)


def add_network(finding: Finding, tree: Tree, paths: Iterable[str]) -> Finding:
    """The finding with the network that these files ask for; nothing where none does, or where it serves itself."""
    code = [path for path in dict.fromkeys(paths) if _CODE.search(path) and path in tree]
    model = _first(tree, code, _MODELS)
    client = model or _first(tree, code, _HTTP)
    if client is None:
        return finding
    local, remote = _first(tree, code, _LOCAL), _first(tree, code, _REMOTE)
    if local is not None and remote is None:
        if any(_SERVES.search(tree.text(path)) for path in code):
            return finding  # its own server, which every run may reach
        return finding.with_fact(
            Fact.NETWORK, Network.LOOPBACK, local.where, "it asks a server of this machine"
        )
    named = next(name for name in client.match.groups() if name)
    if model is not None:
        return finding.with_fact(Fact.NETWORK, Network.OPEN, model.where, f"{named} asks a model's service")
    if remote is not None:
        why = f"{named} asks {remote.match[0]}"
        return finding.with_fact(Fact.NETWORK, Network.OPEN, remote.where, why, guess=True)
    return finding.with_caution(
        f'{client.where} uses {named}: runs have no network unless [lab] network is "loopback" or "open"'
    )


def _first(tree: Tree, paths: Iterable[str], pattern: str) -> MatchedLine | None:
    return next(filter(None, (tree.find(path, pattern) for path in paths)), None)
