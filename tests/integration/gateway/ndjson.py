"""A hook of schemathesis: how it writes NDJSON, which it does not know by itself."""

from typing import Any

import schemathesis


@schemathesis.serializer("application/x-ndjson")
def _ndjson(_context: schemathesis.SerializationContext, value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode(errors="replace")
